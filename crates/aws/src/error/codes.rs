//! What a code of AWS's stands for, and what to do about it.

use reconcile_engine::ErrorKind;

/// Whether a code asks to slow down (`aws-facts.md` 7.2).
pub(crate) fn is_throttle(code: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "Throttling",
        "Throttled",
        "RequestThrottled",
        "TooManyRequests",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "SlowDown",
        "EC2Throttled",
    ];
    // Another change of the same zone or load balancer is under way.
    PREFIXES.iter().any(|prefix| code.starts_with(prefix)) || code == "PriorRequestNotComplete"
}

/// What sort of failure a code stands for (`aws-facts.md` 7.2 and the sections of the services).
pub(crate) fn kind_of(code: &str, status: Option<u16>) -> ErrorKind {
    const OUTAGES: [&str; 10] = [
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "InternalError",
        "InternalFailure",
        "HealthUnavailable",
        "InsufficientCapacity",
        "RequestInProgressException",
        "WAFInternalErrorException",
        "WAFUnavailableEntityException",
    ];
    const CONFLICTS: [&str; 5] = [
        "InvalidChangeBatch",
        "ConflictException",
        "PriorityInUse",
        "TargetGroupAssociationLimit",
        "WAFOptimisticLockException",
    ];
    let starts = |prefix: &str| code.starts_with(prefix);
    let ends = |suffix: &str| code.ends_with(suffix);
    if is_throttle(code) || OUTAGES.contains(&code) {
        ErrorKind::Unavailable
    } else if starts("AccessDenied") || code == "UnauthorizedOperation" || is_credential_code(code) {
        ErrorKind::Denied
    } else if ["LimitExceeded", "LimitsExceeded"]
        .iter()
        .any(|limit| ends(limit) || code.strip_suffix("Exception").is_some_and(|code| code.ends_with(limit)))
        || starts("TooMany")
    {
        ErrorKind::Quota
    } else if starts("ResourceInUse")
        || code == "DependencyViolation"
        || code == "CertificateInUse"
        || code == "WAFAssociatedItemException"
        || ends(".InUse")
    {
        ErrorKind::InUse
    } else if CONFLICTS.contains(&code) || starts("Duplicate") || ends(".Duplicate") {
        ErrorKind::Conflict
    } else if ends("NotFound") || ends("NotFoundException") || starts("NoSuch") || code == "WAFNonexistentItemException"
    {
        ErrorKind::NotFound
    } else if status.is_some_and(|status| status >= 500) {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Refused
    }
}

/// Whether a code says that the credentials themselves are no good.
fn is_credential_code(code: &str) -> bool {
    const CODES: [&str; 14] = [
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    ];
    CODES.contains(&code)
}

/// What to do about a refusal, where more can be said than AWS's message does.
pub(super) fn remedy_of(operation: &str, kind: ErrorKind, code: &str, message: &str) -> Option<String> {
    // The first load balancer of an account makes a role for the service (`aws-facts.md` 3).
    if message.contains("CreateServiceLinkedRole") || message.contains("service linked role") {
        return Some(
            "the account has no role for Elastic Load Balancing yet: allow iam:CreateServiceLinkedRole for \
             elasticloadbalancing.amazonaws.com, or run once as an administrator `aws iam create-service-linked-role \
             --aws-service-name elasticloadbalancing.amazonaws.com`"
                .to_owned(),
        );
    }
    let text = match code {
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            "the credentials have expired: get new ones (`aws sso login`, or new values of AWS_ACCESS_KEY_ID, \
             AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN) and run again: it carries on from here"
        }
        // EC2's code for both.
        "RequestExpired" => {
            "the credentials have expired, or this computer's clock goes wrong: get new ones (`aws sso login`, or new \
             values of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN), or set the clock, and run again: it \
             carries on from here"
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            "check this computer's clock, and the secret access key"
        }
        "OptInRequired" => "enable the region or the service in the account",
        _ if is_credential_code(code) => "check the credentials: AWS does not know them",
        // AWS names the certificate's shape although it is just not issued yet (`aws-facts.md` 4.1).
        "UnsupportedCertificate" => {
            "a certificate is refused with this message until it is ISSUED; check its status, and that its key is RSA \
             2048 or an elliptic curve"
        }
        "CertificateNotFound" => "the certificate has to be in the load balancer's region and account",
        "SSLPolicyNotFound" => "choose one of the policies that `aws elbv2 describe-ssl-policies` lists",
        "InvalidSubnet" => "each subnet needs a /27 or larger with at least 8 free addresses",
        "AvailabilityZoneNotSupported" => {
            "choose a subnet in another availability zone: this one cannot hold load balancers"
        }
        "OperationNotPermitted" if operation.ends_with("DeleteLoadBalancer") => {
            "the load balancer is protected from deletion: if it shall go, set its attribute \
             `deletion_protection.enabled` to false first, and run again"
        }
        "OperationNotPermitted" if operation.ends_with("RemoveListenerCertificates") => {
            "a listener keeps its default certificate: give it another one first"
        }
        "OperationNotPermitted" if operation.ends_with("Rule") || operation.ends_with("RulePriorities") => {
            "the default rule of a listener can neither be moved nor deleted: change the listener's default action"
        }
        "PriorityInUse" => {
            "each number is there once per listener: choose another priority, or move or delete the rule that has it"
        }
        "TooManyRules" => {
            "a load balancer has 100 rules beside the default ones unless the quota is raised: delete rules that are not \
             needed any more, or ask for more in Service Quotas"
        }
        "TooManyCertificates" => {
            "a load balancer has 25 certificates beside the default ones unless the quota is raised: let one certificate \
             have several names, or ask for more in Service Quotas"
        }
        "TooManyUniqueTargetGroupsPerLoadBalancer" => {
            "a load balancer forwards to 100 target groups at most: delete those that are not needed any more"
        }
        "TargetGroupAssociationLimit" => {
            "a target group serves one load balancer at a time: it has to leave the listeners of the other one first"
        }
        "InvalidTarget" => {
            "the instance has to be running and in the target group's VPC: start it, wait a moment, run again"
        }
        "InvalidConfigurationRequest" if message.to_ascii_lowercase().contains("bucket") => {
            "the bucket for access logs has to exist in the load balancer's region, to let Elastic Load Balancing write \
             below the prefix (bucket policy for `logdelivery.elasticloadbalancing.amazonaws.com`), and to be encrypted \
             with keys of S3, not of KMS, if at all"
        }
        "RulesPerSecurityGroupLimitExceeded" => {
            "the security group has no room for the rule: remove rules that are not needed any more, or ask for more in \
             Service Quotas"
        }
        "WAFNonexistentItemException" => {
            "the web ACL has to exist as a regional one, in the load balancer's region and account"
        }
        "WAFUnavailableEntityException" => "a new web ACL takes minutes to be there for all: run again in a moment",
        "WAFInvalidParameterException" | "WAFInvalidOperationException" => {
            "the web ACL has to be a regional one, in the load balancer's region, and given by its whole ARN"
        }
        "WAFInvalidPermissionPolicyException" | "WAFSubscriptionNotFoundException" => {
            "the web ACL uses rules that the account has not subscribed to or may not use"
        }
        _ => return remedy_of_kind(operation, kind, message),
    };
    Some(text.to_owned())
}

/// What to do about a sort of refusal.
fn remedy_of_kind(operation: &str, kind: ErrorKind, message: &str) -> Option<String> {
    match kind {
        ErrorKind::Denied => Some(format!(
            "allow `{}` in the policy of the caller",
            missing_action(operation, message)
        )),
        ErrorKind::Quota => Some("ask for more in Service Quotas, or delete what is not needed any more".to_owned()),
        ErrorKind::Unavailable => Some("run again in a moment".to_owned()),
        ErrorKind::InUse => Some("run again when it is free".to_owned()),
        _ => None,
    }
}

/// The permission that a denial is about: the one that the message names (tagging on creation needs another than the
/// call, `aws-facts.md` 10), else the call's own.
fn missing_action(operation: &str, message: &str) -> String {
    if let Some((_, rest)) = message.split_once("not authorized to perform: ") {
        let action: String = rest
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == ':' || *letter == '-')
            .collect();
        if action.contains(':') {
            return action;
        }
    }
    let (service, call) = operation.split_once(' ').unwrap_or(("*", operation));
    let service = if service == "elbv2" {
        "elasticloadbalancing"
    } else {
        service
    };
    format!("{service}:{call}")
}
