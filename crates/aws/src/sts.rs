//! The caller's identity.

use reconcile_core::{observed::Identity, value::Region};
use reconcile_engine::CloudError;

use crate::{
    clients::Clients,
    error::{call, unexpected},
};

const OPERATION: &str = "sts GetCallerIdentity";

/// Whose AWS it is. The call needs no permission.
pub(crate) async fn observe(clients: &Clients) -> Result<Identity, CloudError> {
    let answer = call(OPERATION, clients.sts.get_caller_identity().send()).await?;
    identity(answer.account(), answer.arn(), &clients.region)
}

fn identity(account: Option<&str>, arn: Option<&str>, region: &Region) -> Result<Identity, CloudError> {
    let account = account.unwrap_or_default();
    let partition = arn.and_then(|arn| arn.strip_prefix("arn:")?.split(':').next());
    Ok(Identity {
        account: account
            .parse()
            .map_err(|error: reconcile_core::value::IdError| unexpected(OPERATION, error.to_string()))?,
        region: region.clone(),
        partition: partition
            .filter(|partition| !partition.is_empty())
            .ok_or_else(|| unexpected(OPERATION, "the answer holds no ARN"))?
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_is_told_by_the_arn() {
        let region = "cn-north-1".parse().unwrap();
        let arn = "arn:aws-cn:sts::123456789012:assumed-role/r/s";
        let identity = identity(Some("123456789012"), Some(arn), &region).unwrap();
        assert_eq!(identity.partition, "aws-cn");
        assert_eq!(identity.account.as_str(), "123456789012");
        assert!(super::identity(Some("123456789012"), None, &region).is_err());
        assert!(super::identity(None, Some(arn), &region).is_err());
    }
}
