//! The engine's view of AWS: every call goes to the module of its kind.

use reconcile_core::{
    observed::{Actual, Observed, Query},
    resource::{Address, Spec},
};
use reconcile_engine::{Cloud, CloudError, Made};

use crate::{
    Aws, alias_record, certificate, error::unexpected, instance_ingress, listener, listener_certificate, listener_rule,
    load_balancer, observe, port_closure, route53, security_group, target, target_group, validation_record,
    web_acl_association,
};

/// Calls the function of the kind that `$spec` is of, with its settings between the other arguments.
macro_rules! of_kind {
    ($spec:expr, $function:ident($($before:expr),*; $($after:expr),*)) => {
        match $spec {
            Spec::Certificate(settings) => certificate::$function($($before,)* settings $(, $after)*).await,
            Spec::ValidationRecord(settings) => validation_record::$function($($before,)* settings $(, $after)*).await,
            Spec::SecurityGroup(settings) => security_group::$function($($before,)* settings $(, $after)*).await,
            Spec::InstanceIngress(settings) => instance_ingress::$function($($before,)* settings $(, $after)*).await,
            Spec::TargetGroup(settings) => target_group::$function($($before,)* settings $(, $after)*).await,
            Spec::LoadBalancer(settings) => load_balancer::$function($($before,)* settings $(, $after)*).await,
            Spec::Listener(settings) => listener::$function($($before,)* settings $(, $after)*).await,
            Spec::ListenerCertificate(settings) => listener_certificate::$function($($before,)* settings $(, $after)*).await,
            Spec::ListenerRule(settings) => listener_rule::$function($($before,)* settings $(, $after)*).await,
            Spec::WebAclAssociation(settings) => web_acl_association::$function($($before,)* settings $(, $after)*).await,
            Spec::Target(settings) => target::$function($($before,)* settings $(, $after)*).await,
            Spec::AliasRecord(settings) => alias_record::$function($($before,)* settings $(, $after)*).await,
            Spec::PortClosure(settings) => port_closure::$function($($before,)* settings $(, $after)*).await,
        }
    };
}

impl Cloud for Aws {
    async fn observe(&self, query: &Query) -> Result<Observed, CloudError> {
        observe::observe(&self.clients, query).await
    }

    async fn read(&self, address: &Address, id: &str, like: &Spec) -> Result<Option<Actual>, CloudError> {
        of_kind!(like, read(&self.clients, address, id;))
    }

    async fn find(&self, address: &Address, desired: &Spec) -> Result<Option<Actual>, CloudError> {
        of_kind!(desired, find(&self.clients, address;))
    }

    async fn create(&self, address: &Address, desired: &Spec, token: &str) -> Result<Made, CloudError> {
        of_kind!(desired, create(&self.clients, address; token))
    }

    async fn update(&self, address: &Address, id: &str, observed: &Spec, desired: &Spec) -> Result<Made, CloudError> {
        macro_rules! update {
            ($($kind:ident => $module:ident),*) => {
                match (observed, desired) {
                    $((Spec::$kind(observed), Spec::$kind(desired)) => {
                        $module::update(&self.clients, address, id, observed, desired).await
                    })*
                    _ => Err(unexpected(
                        "update",
                        format!("`{address}` was observed as {} and is wanted as {}", observed.kind(), desired.kind()),
                    )),
                }
            };
        }
        update!(
            Certificate => certificate,
            ValidationRecord => validation_record,
            SecurityGroup => security_group,
            InstanceIngress => instance_ingress,
            TargetGroup => target_group,
            LoadBalancer => load_balancer,
            Listener => listener,
            ListenerCertificate => listener_certificate,
            ListenerRule => listener_rule,
            WebAclAssociation => web_acl_association,
            Target => target,
            AliasRecord => alias_record,
            PortClosure => port_closure
        )
    }

    async fn delete(&self, address: &Address, id: &str, observed: &Spec) -> Result<(), CloudError> {
        of_kind!(observed, delete(&self.clients, address, id;))
    }

    async fn is_in_sync(&self, change: &str) -> Result<bool, CloudError> {
        route53::is_in_sync(&self.clients, change).await
    }
}
