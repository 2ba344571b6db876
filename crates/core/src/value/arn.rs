//! The parts of an ARN.

/// An Amazon Resource Name, `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`, cut into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'t> {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: &'t str,
    /// The service, as `acm` or `elasticloadbalancing`.
    pub service: &'t str,
    /// The region; empty for what has none.
    pub region: &'t str,
    /// The account; empty for what has none.
    pub account: &'t str,
    /// What the service tells its objects by, as `targetgroup/web/73e2d6bc24d8a067`.
    pub resource: &'t str,
}

impl<'t> Arn<'t> {
    /// The parts of `text`, if it is an ARN at all.
    pub fn parse(text: &'t str) -> Option<Self> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, service, region, account, resource]
                if !partition.is_empty() && !service.is_empty() && !resource.is_empty() =>
            {
                Some(Self {
                    partition,
                    service,
                    region,
                    account,
                    resource,
                })
            }
            _ => None,
        }
    }

    /// The steps of the resource, cut at `/`; none if one of them is empty.
    pub fn path(&self) -> Vec<&'t str> {
        let steps: Vec<&str> = self.resource.split('/').collect();
        if steps.iter().any(|step| step.is_empty()) {
            return Vec::new();
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts() {
        let arn = Arn::parse("arn:aws:wafv2:us-east-1:123456789012:regional/webacl/web/1").unwrap();
        assert_eq!(
            (arn.service, arn.region, arn.account),
            ("wafv2", "us-east-1", "123456789012")
        );
        assert_eq!(arn.path(), ["regional", "webacl", "web", "1"]);
        assert_eq!(Arn::parse("arn:aws:s3:::bucket").unwrap().region, "");
        for wrong in [
            "sg-1",
            "arn:aws:acm:us-east-1",
            "arn:aws:acm:us-east-1:123456789012:",
            "arn::acm:::x",
        ] {
            assert_eq!(Arn::parse(wrong), None, "{wrong}");
        }
        assert!(Arn::parse("arn:aws:acm:::certificate//x").unwrap().path().is_empty());
    }
}
