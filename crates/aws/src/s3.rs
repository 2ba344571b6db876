//! Objects in S3 that are compared and swapped, by S3's own conditions on writes and deletions and nothing else.
//!
//! Nothing here knows what the objects hold. S3 answers reads with the last write that succeeded, so a condition on the
//! entity tag that was read last is all that is needed.

mod refusal;

use std::time::Duration;

use aws_sdk_s3::{
    config::timeout::TimeoutConfig,
    primitives::ByteStream,
    types::{BucketVersioningStatus, ServerSideEncryption},
};
use aws_smithy_types::error::display::DisplayErrorContext;
use reconcile_core::{
    limits,
    value::{AccountId, Region},
};
use reconcile_engine::{CloudError, ErrorKind};

use crate::{
    ConnectError,
    clients::{Base, unrationed},
    error::{CloudErrorExt, call, failure},
    limits::{ATTEMPT_TIMEOUT, CALL_TIMEOUT, CONNECT_TIMEOUT},
    retry::Classifier,
};
use refusal::explained;

/// How often a write is made that another one kept from being decided (409), or whose result is not known.
const TRIES: u32 = 5;
/// The first pause between two of them; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
const CONTENT_TYPE: &str = "application/json";

/// Which bucket, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// Its region, if it is not that of all other calls.
    pub region: Option<Region>,
    /// The profile of the AWS configuration files, if not left to the chain.
    pub profile: Option<String>,
    /// The account that the bucket has to be of.
    pub owner: Option<AccountId>,
    /// The KMS key that objects are encrypted with, if not S3's own.
    pub kms_key: Option<String>,
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: aws_sdk_s3::Client,
    name: String,
    owner: Option<String>,
    kms_key: Option<String>,
    region: String,
}

/// What tells one content of an object from all others that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it holds.
    pub content: Vec<u8>,
    /// Which of its contents that is.
    pub tag: Tag,
}

/// What came of a conditional write or deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap<T> {
    /// It is done.
    Done(T),
    /// The object is not as it was expected to be; nothing was changed.
    Lost,
}

/// Whether a bucket keeps the versions of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// It does.
    Kept,
    /// It does not.
    Lost,
}

impl Bucket {
    /// Prepares the calls; makes none.
    ///
    /// # Errors
    /// If there is no region, or the profile does not exist.
    pub async fn connect(place: Place) -> Result<Self, ConnectError> {
        let Place {
            bucket,
            region,
            profile,
            owner,
            kms_key,
        } = place;
        let base = Box::pin(Base::new(region, profile)).await?;
        let is_elsewhere = base.config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
        let config = aws_sdk_s3::config::Builder::from(&base.config)
            .http_client(base.http)
            .retry_classifier(Classifier)
            .retry_partition(unrationed())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .operation_timeout(CALL_TIMEOUT)
                    .build(),
            )
            // A name in front of another host's name leads nowhere.
            .force_path_style(is_elsewhere)
            .build();
        Ok(Self {
            client: aws_sdk_s3::Client::from_conf(config),
            name: bucket,
            owner: owner.map(|owner| owner.as_str().to_owned()),
            kms_key,
            region: base.region.to_string(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    /// If S3 refuses or cannot be reached. A caller that may not list the bucket is refused where there is no object, and
    /// that is an error: a state that cannot be seen must not pass for none.
    pub async fn get(&self, key: &str) -> Result<Option<Object>, CloudError> {
        const OPERATION: &str = "s3 GetObject";
        let request = self
            .client
            .get_object()
            .bucket(&self.name)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone());
        let answer = match call(OPERATION, request.send()).await {
            Ok(answer) => answer,
            Err(error) if error.is_code(&["NoSuchKey"]) => return Ok(None),
            Err(error) => return Err(self.explained(error)),
        };
        let unreadable = |reason: String| {
            failure(
                OPERATION,
                ErrorKind::Unavailable,
                format!("the answer cannot be read: {reason}"),
                "run again in a moment",
            )
        };
        let length = answer.content_length().and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > limits::STATE_BYTES) {
            return Err(failure(
                OPERATION,
                ErrorKind::Unexpected,
                format!("`s3://{}/{key}` is too large for a state", self.name),
                "check `state.bucket` and `state.key`",
            ));
        }
        let tag = answer.e_tag().map(|tag| Tag(tag.to_owned()));
        let content = answer.body.collect().await;
        let content = content.map_err(|error| unreadable(DisplayErrorContext(error).to_string()))?;
        Ok(Some(Object {
            content: content.to_vec(),
            tag: tag.ok_or_else(|| unreadable("it holds no ETag".to_owned()))?,
        }))
    }

    /// Writes an object if it still is what was read last: the content with the tag, or absent.
    ///
    /// An answer that got lost is found out by reading: the write is done if the object holds `content`, which therefore
    /// has to be unlike everything that others write.
    ///
    /// # Errors
    /// If S3 refuses or cannot be reached; the object is then as it was, or as wanted.
    pub async fn put(&self, key: &str, content: &[u8], expected: Option<&Tag>) -> Result<Swap<Tag>, CloudError> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let error = match self.put_once(key, content, expected).await {
                Ok(tag) => return Ok(Swap::Done(tag)),
                Err(error) => error,
            };
            // Of several attempts that the SDK makes, an earlier one may have been carried out.
            let undecided = error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::Unexpected;
            let lost = error.is_code(&["PreconditionFailed", "NoSuchKey"]);
            let contended = error.is_code(&["ConditionalRequestConflict", "OperationAborted"]);
            if !(undecided || lost || contended) {
                return Err(self.explained(error));
            }
            let now = match self.get(key).await {
                Ok(now) => now,
                Err(_) if undecided => return Err(self.explained(error)),
                Err(error) => return Err(error),
            };
            if let Some(now) = &now
                && now.content == content
                && Some(&now.tag) != expected
            {
                return Ok(Swap::Done(now.tag.clone()));
            }
            if now.as_ref().map(|now| &now.tag) != expected {
                return Ok(Swap::Lost);
            }
            if tries == TRIES {
                return Err(self.explained(error));
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn put_once(&self, key: &str, content: &[u8], expected: Option<&Tag>) -> Result<Tag, CloudError> {
        const OPERATION: &str = "s3 PutObject";
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .content_type(CONTENT_TYPE)
            .body(ByteStream::from(content.to_vec()));
        let request = match &self.kms_key {
            Some(key) => request
                .server_side_encryption(ServerSideEncryption::AwsKms)
                .ssekms_key_id(key),
            None => request.server_side_encryption(ServerSideEncryption::Aes256),
        };
        let request = match expected {
            Some(Tag(tag)) => request.if_match(tag),
            None => request.if_none_match("*"),
        };
        let answer = call(OPERATION, request.send()).await?;
        let tag = answer.e_tag().map(|tag| Tag(tag.to_owned()));
        tag.ok_or_else(|| crate::error::unexpected(OPERATION, "the answer holds no ETag"))
    }

    /// Deletes an object if it still has this content. One that is gone is as good as lost.
    ///
    /// # Errors
    /// If S3 refuses or cannot be reached.
    pub async fn delete(&self, key: &str, expected: &Tag) -> Result<Swap<()>, CloudError> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.delete_once(key, expected).await {
                Err(error) if error.is_code(&["ConditionalRequestConflict", "OperationAborted"]) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                result => return self.deleted(result),
            }
        }
        self.deleted(self.delete_once(key, expected).await)
    }

    async fn delete_once(&self, key: &str, expected: &Tag) -> Result<(), CloudError> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.name)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .if_match(&expected.0);
        call("s3 DeleteObject", request.send()).await.map(|_| ())
    }

    fn deleted(&self, result: Result<(), CloudError>) -> Result<Swap<()>, CloudError> {
        match result {
            Ok(()) => Ok(Swap::Done(())),
            Err(error) if error.is_code(&["PreconditionFailed", "NoSuchKey"]) => Ok(Swap::Lost),
            Err(error) => Err(self.explained(error)),
        }
    }

    /// Whether the bucket keeps the versions of its objects.
    ///
    /// # Errors
    /// If S3 refuses or cannot be reached.
    pub async fn versioning(&self) -> Result<Versioning, CloudError> {
        let request = self
            .client
            .get_bucket_versioning()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.owner.clone());
        let answer = call("s3 GetBucketVersioning", request.send()).await;
        let answer = answer.map_err(|error| self.explained(error))?;
        Ok(match answer.status() {
            Some(BucketVersioningStatus::Enabled) => Versioning::Kept,
            _ => Versioning::Lost,
        })
    }

    fn explained(&self, error: CloudError) -> CloudError {
        explained(error, &self.name, &self.region)
    }
}
