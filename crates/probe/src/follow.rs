//! Following redirects, as a browser does, to find the page that a visitor ends at.

use crate::answer::Answer;
use crate::error::ProbeError;
use crate::network::Network;
use crate::request::Request;

impl Network {
    /// Asks and follows up to `max` redirects; the answers in order, the last one is no redirect.
    ///
    /// A redirect to another name is asked where that name leads, unless the request counts it to
    /// the same site ([`Request::also_here`]). Cookies are not kept. The request's timeout holds
    /// for each page. The same URL twice is a loop (aws-facts 8.4).
    pub async fn follow(&self, request: &Request, max: usize) -> Result<Vec<Answer>, ProbeError> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut request = request.clone();
        loop {
            let answer = match self.ask(&request).await {
                Ok(answer) => answer,
                Err(error) if answers.is_empty() => return Err(error),
                Err(error) => {
                    let chain = chain(&answers, request.url());
                    return Err(ProbeError::Redirected {
                        chain,
                        source: Box::new(error),
                    });
                }
            };
            let redirect = answer.is_redirect().then(|| answer.raw_location()).flatten();
            let here = answer.url.clone();
            answers.push(answer);
            let Some(location) = redirect else {
                return Ok(answers);
            };
            let next = here.join(&location).map_err(|reason| ProbeError::InvalidRedirect {
                url: here.to_string(),
                location,
                reason,
            })?;
            if answers.iter().any(|answer| answer.url == next) {
                return Err(ProbeError::RedirectLoop {
                    chain: chain(&answers, next.to_string()),
                });
            }
            if answers.len() > max {
                let chain = chain(&answers, next.to_string());
                return Err(ProbeError::TooManyRedirects { max, chain });
            }
            request = request.redirected(&next);
        }
    }
}

fn chain(answers: &[Answer], last: String) -> Vec<String> {
    answers.iter().map(Answer::url).chain([last]).collect()
}
