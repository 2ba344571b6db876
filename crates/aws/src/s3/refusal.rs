//! What S3's refusals mean for a bucket that holds states.

use reconcile_engine::CloudError;

/// The error with what to do about it.
pub(super) fn explained(error: CloudError, bucket: &str, region: &str) -> CloudError {
    let remedy = match error.code.as_deref() {
        Some("NoSuchBucket") => format!(
            "make the bucket `{bucket}`, with versioning, or correct `state.bucket`: it is made once and by hand, so that \
             no run takes a new one for the old"
        ),
        Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => format!(
            "the bucket `{bucket}` is not in {region}: set `state.region`; `aws s3api get-bucket-location --bucket \
             {bucket}` tells which it is"
        ),
        Some(code) if code.starts_with("AccessDenied") || code == "Forbidden" => denied(&error, bucket),
        Some(code) if code.starts_with("KMS.") => {
            "check `state.kms_key`: the key has to exist in the bucket's region and to be enabled".to_owned()
        }
        _ => return error,
    };
    CloudError {
        remedy: Some(remedy),
        ..error
    }
}

fn denied(error: &CloudError, bucket: &str) -> String {
    if error.message.contains("kms:") || error.message.to_ascii_lowercase().contains("kms key") {
        return "allow `kms:GenerateDataKey` and `kms:Decrypt` on the key, in the policy of the caller and, if the key is \
                another account's, in the key's"
            .to_owned();
    }
    let call = error.operation.rsplit(' ').next().unwrap_or_default();
    match call {
        "GetObject" => format!(
            "allow `s3:GetObject` on the objects and `s3:ListBucket` on the bucket `{bucket}`: without the second, S3 \
             does not tell an object that is not there from one that may not be read; if `state.bucket_owner` is set, the \
             bucket has to be that account's"
        ),
        // Where S3 compares, the caller has to be allowed to read.
        "DeleteObject" => {
            format!("allow `s3:DeleteObject` and `s3:GetObject` on the lock objects in the bucket `{bucket}`")
        }
        "PutObject" => format!("allow `s3:PutObject` and `s3:GetObject` on the objects in the bucket `{bucket}`"),
        call => format!("allow `s3:{call}` on the bucket `{bucket}`"),
    }
}

#[cfg(test)]
mod tests {
    use reconcile_engine::ErrorKind;

    use super::*;
    use crate::error::failure;

    fn remedy(operation: &str, code: &str, message: &str) -> String {
        let error = CloudError {
            code: Some(code.to_owned()),
            ..failure(operation, ErrorKind::Refused, message, "-")
        };
        explained(error, "states", "eu-west-1").remedy.unwrap()
    }

    #[test]
    fn every_refusal_says_what_is_missing() {
        for (operation, code, message, says) in [
            ("s3 GetObject", "NoSuchBucket", "", "`state.bucket`"),
            (
                "s3 GetObject",
                "PermanentRedirect",
                "",
                "is not in eu-west-1: set `state.region`",
            ),
            ("s3 PutObject", "AuthorizationHeaderMalformed", "", "`state.region`"),
            ("s3 GetObject", "AccessDenied", "Access Denied", "`s3:ListBucket`"),
            ("s3 PutObject", "AccessDenied", "Access Denied", "`s3:PutObject`"),
            ("s3 DeleteObject", "AccessDenied", "Access Denied", "`s3:DeleteObject`"),
            (
                "s3 PutObject",
                "AccessDenied",
                "User: x is not authorized to perform: kms:GenerateDataKey on resource: y",
                "`kms:GenerateDataKey` and `kms:Decrypt`",
            ),
            ("s3 PutObject", "KMS.DisabledException", "disabled", "`state.kms_key`"),
        ] {
            let remedy = remedy(operation, code, message);
            assert!(remedy.contains(says), "{operation} {code}: {remedy}");
        }
        assert_eq!(remedy("s3 GetObject", "InternalError", "x"), "-", "others keep theirs");
    }
}
