//! Reading a list to its end, and never for ever.

use reconcile_engine::CloudError;

use crate::error::unexpected;

/// More pages than any account has of anything that is listed here: 10,000 records are 34 pages.
const MOST_PAGES: u32 = 500;

/// Walks through the pages of one list:
///
/// ```text
/// let mut pages = Pages::new("acm ListCertificates");
/// loop {
///     let answer = call(pages.operation(), client.list_certificates().set_next_token(pages.token()).send()).await?;
///     // ... take what is on the page ...
///     if !pages.advance(answer.next_token())? {
///         break;
///     }
/// }
/// ```
#[derive(Debug)]
pub(crate) struct Pages<'a> {
    operation: &'a str,
    token: Option<String>,
    count: u32,
}

impl<'a> Pages<'a> {
    /// Begins at the first page.
    pub(crate) fn new(operation: &'a str) -> Self {
        Self {
            operation,
            token: None,
            count: 0,
        }
    }

    /// The call that lists.
    pub(crate) fn operation(&self) -> &'a str {
        self.operation
    }

    /// Where the page to be asked for begins; `None` is the first.
    pub(crate) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Moves on to the page that the answer names; false at the end, which an absent or empty token marks.
    pub(crate) fn advance(&mut self, next: Option<&str>) -> Result<bool, CloudError> {
        let Some(next) = next.filter(|next| !next.is_empty()) else {
            return Ok(false);
        };
        self.count += 1;
        if self.token.as_deref() == Some(next) {
            return Err(unexpected(
                self.operation,
                "the same page was named as the next one twice",
            ));
        }
        if self.count > MOST_PAGES {
            return Err(unexpected(
                self.operation,
                format!("the list does not end after {MOST_PAGES} pages"),
            ));
        }
        self.token = Some(next.to_owned());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_token_or_an_empty_one() {
        let mut pages = Pages::new("x List");
        assert_eq!(pages.advance(Some("a")), Ok(true));
        assert_eq!(pages.token().as_deref(), Some("a"));
        assert_eq!(pages.advance(Some("")), Ok(false));
        assert_eq!(pages.advance(None), Ok(false));
    }

    #[test]
    fn a_list_that_goes_in_circles_is_an_error() {
        let mut pages = Pages::new("x List");
        assert_eq!(pages.advance(Some("a")), Ok(true));
        assert!(pages.advance(Some("a")).is_err());
        let mut pages = Pages::new("x List");
        let end = (0..1000).find_map(|page| pages.advance(Some(&page.to_string())).err());
        assert!(end.is_some());
    }
}
