//! What listeners and their rules do: one shape for default actions and for those of rules (`aws-facts.md` 4.3).

use aws_sdk_elasticloadbalancingv2::types::{
    Action, ActionTypeEnum, FixedResponseActionConfig, ForwardActionConfig, RedirectActionConfig,
    RedirectActionStatusCodeEnum,
};
use reconcile_core::resource::{DefaultAction, Ref, Unresolved};
use reconcile_engine::{CloudError, ErrorKind};

use crate::error::{failure, unexpected, unresolved};

/// What a list of actions comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The sort.
    pub(crate) action: DefaultAction,
    /// The ARN of the only target group of a forward.
    pub(crate) target_group: Option<String>,
    /// The target of a redirect, as `STATUS PROTOCOL://HOST:PORT/PATH?QUERY`.
    pub(crate) redirect_to: Option<String>,
    /// A fixed response, as `STATUS CONTENT-TYPE: BODY`.
    pub(crate) fixed_response: Option<String>,
}

impl From<DefaultAction> for Outcome {
    fn from(action: DefaultAction) -> Self {
        Self {
            action,
            target_group: None,
            redirect_to: None,
            fixed_response: None,
        }
    }
}

/// Reads a list of actions.
///
/// AWS fills in what was not sent (`aws-facts.md` 4.3): one group is told twice, its weight says nothing, the order may
/// come back as 1, and the parts of a redirect have placeholders.
pub(crate) fn read(actions: &[Action]) -> Outcome {
    let [action] = actions else {
        return DefaultAction::Other.into();
    };
    match action.r#type() {
        Some(ActionTypeEnum::Forward) => match target_groups(action)[..] {
            [] => DefaultAction::Forward.into(),
            [group] => Outcome {
                target_group: Some(group.to_owned()),
                ..DefaultAction::Forward.into()
            },
            _ => DefaultAction::WeightedForward.into(),
        },
        Some(ActionTypeEnum::Redirect) => Outcome {
            redirect_to: action.redirect_config().map(print_redirect),
            ..DefaultAction::Redirect.into()
        },
        Some(ActionTypeEnum::FixedResponse) => Outcome {
            fixed_response: action.fixed_response_config().map(print_response),
            ..DefaultAction::FixedResponse.into()
        },
        _ => DefaultAction::Other.into(),
    }
}

/// The target groups that an action forwards to.
fn target_groups(action: &Action) -> Vec<&str> {
    let groups = action
        .forward_config()
        .map(ForwardActionConfig::target_groups)
        .unwrap_or_default();
    if groups.is_empty() {
        action.target_group_arn().into_iter().collect()
    } else {
        groups.iter().filter_map(|group| group.target_group_arn()).collect()
    }
}

/// Whether one of the actions forwards to the target group.
pub(crate) fn forward_to(actions: &[Action], group: &str) -> bool {
    actions.iter().flat_map(target_groups).any(|found| found == group)
}

/// The action that brings about what is wanted.
pub(crate) fn action(operation: &str, wanted: &Outcome) -> Result<Action, CloudError> {
    let builder = Action::builder();
    match wanted.action {
        DefaultAction::Forward => {
            let group = wanted.target_group.as_deref();
            let group = group.ok_or_else(|| unexpected(operation, "there is no target group to forward to"))?;
            Ok(builder.r#type(ActionTypeEnum::Forward).target_group_arn(group).build())
        }
        DefaultAction::Redirect => {
            let text = wanted.redirect_to.as_deref().unwrap_or_default();
            let config = parse_redirect(text)
                .ok_or_else(|| unexpected(operation, format!("`{text}` is not the target of a redirect")))?;
            Ok(builder.r#type(ActionTypeEnum::Redirect).redirect_config(config).build())
        }
        DefaultAction::FixedResponse => {
            let text = wanted.fixed_response.as_deref().unwrap_or_default();
            let config = parse_response(text)
                .ok_or_else(|| unexpected(operation, format!("`{text}` is not a response of a load balancer")))?;
            Ok(builder
                .r#type(ActionTypeEnum::FixedResponse)
                .fixed_response_config(config)
                .build())
        }
        DefaultAction::WeightedForward | DefaultAction::Other => Err(failure(
            operation,
            ErrorKind::Refused,
            "this action cannot be set up by this tool",
            "set it up in the console",
        )),
    }
}

fn print_redirect(config: &RedirectActionConfig) -> String {
    format!(
        "{} {}://{}:{}{}?{}",
        config.status_code().map_or("", RedirectActionStatusCodeEnum::as_str),
        config.protocol().unwrap_or("#{protocol}"),
        config.host().unwrap_or("#{host}"),
        config.port().unwrap_or("#{port}"),
        config.path().unwrap_or("/#{path}"),
        config.query().unwrap_or("#{query}"),
    )
}

/// Takes `STATUS PROTOCOL://HOST:PORT/PATH?QUERY` apart.
fn parse_redirect(text: &str) -> Option<RedirectActionConfig> {
    let (status, target) = text.split_once(' ')?;
    let (protocol, target) = target.split_once("://")?;
    let (target, query) = target.split_once('?')?;
    let (authority, path) = target.split_once('/')?;
    let (host, port) = authority.rsplit_once(':')?;
    Some(
        RedirectActionConfig::builder()
            .status_code(RedirectActionStatusCodeEnum::from(status))
            .protocol(protocol)
            .host(host)
            .port(port)
            .path(format!("/{path}"))
            .query(query)
            .build(),
    )
}

fn print_response(config: &FixedResponseActionConfig) -> String {
    format!(
        "{} {}: {}",
        config.status_code().unwrap_or_default(),
        // Nothing is said to be plain text.
        config
            .content_type()
            .filter(|sort| !sort.is_empty())
            .unwrap_or("text/plain"),
        config.message_body().unwrap_or_default(),
    )
}

/// Takes `STATUS CONTENT-TYPE: BODY` apart. An empty body is not sent.
fn parse_response(text: &str) -> Option<FixedResponseActionConfig> {
    let (status, rest) = text.split_once(' ')?;
    let (sort, body) = match rest.split_once(": ") {
        Some((sort, body)) => (sort, body),
        None => (rest.strip_suffix(':')?, ""),
    };
    Some(
        FixedResponseActionConfig::builder()
            .status_code(status)
            .content_type(sort)
            .set_message_body((!body.is_empty()).then(|| body.to_owned()))
            .build(),
    )
}

/// The value of a reference that may be absent.
pub(crate) fn known<'a>(operation: &str, reference: Option<&'a Ref>) -> Result<Option<&'a str>, CloudError> {
    reference
        .map(Ref::known)
        .transpose()
        .map_err(|error: Unresolved| unresolved(operation, &error))
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::types::{self, TargetGroupStickinessConfig, TargetGroupTuple};
    use reconcile_core::resource::Listener;

    use super::*;

    fn forward(groups: &[&str]) -> types::builders::ActionBuilder {
        let mut config = ForwardActionConfig::builder()
            .target_group_stickiness_config(TargetGroupStickinessConfig::builder().enabled(false).build());
        for group in groups {
            config = config.target_groups(TargetGroupTuple::builder().target_group_arn(*group).weight(1).build());
        }
        Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .order(1)
            .forward_config(config.build())
    }

    #[test]
    fn both_spellings_of_one_forward_agree() {
        let enriched = forward(&["arn:tg"]).target_group_arn("arn:tg").build();
        let sent = Action::builder()
            .r#type(ActionTypeEnum::Forward)
            .target_group_arn("arn:tg")
            .build();
        let expected = Outcome {
            target_group: Some("arn:tg".to_owned()),
            ..DefaultAction::Forward.into()
        };
        assert_eq!(action("x", &expected).unwrap(), sent);
        assert_eq!(read(&[enriched]), expected);
        assert_eq!(read(&[sent]), expected);
    }

    #[test]
    fn what_this_tool_does_not_set_up_is_told_apart() {
        let sort = |actions: &[Action]| read(actions).action;
        let weighted = forward(&["arn:tg/a", "arn:tg/b"]).build();
        assert_eq!(sort(std::slice::from_ref(&weighted)), DefaultAction::WeightedForward);
        assert!(forward_to(std::slice::from_ref(&weighted), "arn:tg/b"));
        assert!(!forward_to(std::slice::from_ref(&weighted), "arn:tg/c"));
        let sign_in = Action::builder().r#type(ActionTypeEnum::AuthenticateOidc).build();
        assert_eq!(sort(&[sign_in, weighted]), DefaultAction::Other);
        assert_eq!(sort(&[]), DefaultAction::Other);
        for sort in [DefaultAction::WeightedForward, DefaultAction::Other] {
            assert_eq!(action("x", &sort.into()).unwrap_err().kind, ErrorKind::Refused);
        }
    }

    #[test]
    fn a_redirect_survives_being_sent_and_read_with_and_without_placeholders() {
        let expected = Outcome {
            redirect_to: Some(Listener::redirect_to_https(443)),
            ..DefaultAction::Redirect.into()
        };
        let sent = action("x", &expected).unwrap();
        let config = sent.redirect_config().unwrap();
        assert_eq!((config.path(), config.host()), (Some("/#{path}"), Some("#{host}")));
        assert_eq!(read(&[sent]), expected);
        let sparse = RedirectActionConfig::builder()
            .protocol("HTTPS")
            .port("443")
            .status_code(RedirectActionStatusCodeEnum::Http301)
            .build();
        let sparse = Action::builder()
            .r#type(ActionTypeEnum::Redirect)
            .redirect_config(sparse)
            .build();
        assert_eq!(read(&[sparse]), expected);
    }

    #[test]
    fn a_fixed_response_survives_being_sent_and_read() {
        for text in [
            "404 text/plain: no site: of this name",
            "503 text/html: <h1>soon</h1>",
            "404 text/plain: ",
        ] {
            let expected = Outcome {
                fixed_response: Some(text.to_owned()),
                ..DefaultAction::FixedResponse.into()
            };
            let sent = action("x", &expected).unwrap();
            assert_eq!(read(&[sent]), expected, "{text}");
        }
        let config = parse_response("404 text/plain:").unwrap();
        assert_eq!(config.message_body(), None);
        let bare = FixedResponseActionConfig::builder().status_code("404").build();
        assert_eq!(print_response(&bare), "404 text/plain: ");
        let wrong = Outcome {
            fixed_response: Some("404".to_owned()),
            ..DefaultAction::FixedResponse.into()
        };
        assert!(action("x", &wrong).unwrap_err().message.contains("`404`"));
    }
}
