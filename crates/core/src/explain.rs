//! AWS's reason codes in words, with what to do about them.

/// What to do about a certificate that was not issued (`aws-facts.md` 1.4).
pub fn certificate_failure(state: &str, reason: Option<&str>) -> &'static str {
    match reason {
        Some("CAA_ERROR") => {
            "a CAA record at the name, above it, or at the target of a CNAME forbids Amazon: allow one of amazon.com, \
             amazontrust.com, awstrust.com, amazonaws.com (`issuewild` for wildcards), then run again"
        }
        Some("ADDITIONAL_VERIFICATION_REQUIRED") => {
            "Amazon wants to check this name by hand: open a support case, then run again"
        }
        Some("DOMAIN_NOT_ALLOWED") => {
            "the name is on a list of names that Amazon does not certify: open a support case"
        }
        Some("INVALID_PUBLIC_DOMAIN") => "the name is not under a public top-level domain: use a public name",
        _ if state == "VALIDATION_TIMED_OUT" => {
            "ACM did not find the validation record within 72 hours: check that the registrar delegates the name to this \
             hosted zone, then run again; a new certificate is requested"
        }
        _ if state == "EXPIRED" || state == "REVOKED" || state == "INACTIVE" => {
            "the certificate can no longer be used: run again; a new one is requested"
        }
        _ => "look at the certificate in the ACM console; deleting it and running again requests a new one",
    }
}

/// What a target's reason code means and what to do (`aws-facts.md` 2.4).
pub fn target_health(reason: &str) -> &'static str {
    match reason {
        "Elb.RegistrationInProgress" | "Elb.InitialHealthChecking" => "the first health checks are under way",
        "Target.ResponseCodeMismatch" => {
            "the web server answers the health check with another status code. 301 or 302: the path redirects, choose one \
             that answers 200; 401: the path asks for a password; 403, 404 or 421: the check comes with the instance's IP \
             address as Host, so the default site answers. Set `health.path` or `health.codes`"
        }
        "Target.Timeout" => {
            "no answer in time: a security group, network ACL or firewall on the instance keeps the load balancer out, or \
             the web server hangs"
        }
        "Target.FailedHealthChecks" => {
            "the connection fails: nothing listens on the port, plain HTTP is spoken to a TLS port or the other way round, \
             or the TLS handshake fails. Check `ports.backend`, `backend.protocol` and `health.protocol`"
        }
        "Target.NotInUse" => {
            "no listener forwards to the target group, or none of the load balancer's subnets is in the instance's \
             availability zone"
        }
        "Target.NotRegistered" => "the instance is not in the target group",
        "Target.InvalidState" => "the instance is stopped or terminated: start it",
        "Target.DeregistrationInProgress" => "the target is on its way out",
        "Elb.InternalError" => "an error on AWS's side: it passes",
        _ => "",
    }
}

/// What a status means that an ALB answers by itself (`aws-facts.md` 3).
pub fn load_balancer_status(status: u16) -> Option<&'static str> {
    match status {
        403 => Some("a web ACL of AWS WAF refuses the request"),
        460 => Some("the connection was closed before the instance answered"),
        463 => Some("more than 30 addresses stand in X-Forwarded-For"),
        464 => Some("the protocol versions of request and target group do not fit"),
        502 => Some(
            "the instance resets the connection, fails the TLS handshake, or closes idle connections sooner than the load \
             balancer: check `backend.protocol` and the web server's keep-alive time (more than 60 s)",
        ),
        503 => Some("no instance is registered and in use: check the target group"),
        504 => Some(
            "the instance does not accept the connection within 10 s, or does not answer within the idle timeout: check its \
             security group and network ACL, and the egress of the load balancer's group",
        ),
        _ => None,
    }
}

/// A target's state with what AWS says about it.
pub fn target_words(state: &str, reason: Option<&str>, description: Option<&str>) -> String {
    let details: Vec<&str> = [reason, description]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    if details.is_empty() {
        state.to_owned()
    } else {
        format!("{state} ({})", details.join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_told_with_all_that_aws_says() {
        assert_eq!(target_words("healthy", None, None), "healthy");
        let words = target_words("unhealthy", Some("Target.Timeout"), Some("Request timed out"));
        assert_eq!(words, "unhealthy (Target.Timeout: Request timed out)");
    }
}
