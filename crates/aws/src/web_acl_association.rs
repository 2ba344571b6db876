//! The kind `web_acl_association`: the web ACL of a load balancer, of which it has at most one (`aws-facts.md` 9).
//!
//! Without permission for `wafv2:GetWebACL`, WAF answers as if there were no web ACL: one that is not found may be one
//! that is not shown. Associating the wanted one again does no harm then.

use std::time::Duration;

use reconcile_core::{
    observed::{Actual, Status},
    resource::{Address, Output, Outputs, Ref, Spec, Tags, WebAclAssociation},
};
use reconcile_engine::{CloudError, ErrorKind, Made};

use crate::{
    clients::Clients,
    error::{OrMissing, call, unresolved},
    retry::for_a_while,
};

const ASSOCIATE: &str = "wafv2 AssociateWebACL";
const GET: &str = "wafv2 GetWebACLForResource";
/// The codes for a web ACL or a load balancer that WAF does not know, or not yet (`aws-facts.md` 7.1).
const FRESH_PARTS: [&str; 2] = ["WAFUnavailableEntityException", "WAFNonexistentItemException"];
/// How long WAF may not know a web ACL that has just been made: some minutes (`aws-facts.md` 9).
const PATIENCE: Duration = Duration::from_mins(3);

/// The web ACL of the load balancer with this ARN; `None` if it has none, or none that the caller may see.
pub(crate) async fn of(clients: &Clients, balancer: &str) -> Result<Option<Actual>, CloudError> {
    let request = clients.waf.get_web_acl_for_resource().resource_arn(balancer);
    let answer = call(GET, request.send()).await.or_missing()?;
    let web_acl = answer.and_then(|answer| answer.web_acl);
    Ok(web_acl.map(|web_acl| actual(balancer, web_acl.arn)))
}

fn actual(balancer: &str, web_acl: String) -> Actual {
    let id = balancer.to_owned();
    Actual {
        spec: Spec::WebAclAssociation(WebAclAssociation {
            load_balancer: Ref::Known(id.clone()),
            web_acl,
        }),
        outputs: Outputs::from([(Output::Id, id.clone())]),
        id,
        status: Status::Exists,
        tags: Tags::new(),
    }
}

/// Reads what the load balancer with this ARN has.
pub(crate) async fn read(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _like: &WebAclAssociation,
) -> Result<Option<Actual>, CloudError> {
    of(clients, id).await
}

/// Finds what the load balancer has, whichever web ACL it is.
pub(crate) async fn find(
    clients: &Clients,
    _address: &Address,
    desired: &WebAclAssociation,
) -> Result<Option<Actual>, CloudError> {
    let balancer = desired.load_balancer.known();
    of(clients, balancer.map_err(|error| unresolved(GET, &error))?).await
}

/// Associates the web ACL, in place of another one if there is one.
pub(crate) async fn create(
    clients: &Clients,
    _address: &Address,
    desired: &WebAclAssociation,
    _token: &str,
) -> Result<Made, CloudError> {
    let balancer = desired
        .load_balancer
        .known()
        .map_err(|error| unresolved(ASSOCIATE, &error))?;
    let request = clients
        .waf
        .associate_web_acl()
        .web_acl_arn(&desired.web_acl)
        .resource_arn(balancer);
    for_a_while(PATIENCE, &FRESH_PARTS, || call(ASSOCIATE, request.clone().send())).await?;
    Ok(Made::with_id(balancer))
}

/// Associates another web ACL; there is no moment without one.
pub(crate) async fn update(
    clients: &Clients,
    address: &Address,
    _id: &str,
    _observed: &WebAclAssociation,
    desired: &WebAclAssociation,
) -> Result<Made, CloudError> {
    create(clients, address, desired, "").await
}

/// Takes the web ACL off the load balancer. The web ACL itself is not ours and stays.
pub(crate) async fn delete(
    clients: &Clients,
    _address: &Address,
    id: &str,
    _observed: &WebAclAssociation,
) -> Result<(), CloudError> {
    let request = clients.waf.disassociate_web_acl().resource_arn(id);
    match call("wafv2 DisassociateWebACL", request.send()).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
