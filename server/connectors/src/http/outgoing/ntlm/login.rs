//! Exchanges over lines that must be logged in.

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};

use super::Account;
use crate::http::outgoing::HttpFailure;
use crate::http::outgoing::connect::Origin;
use crate::http::outgoing::pool::{ExchangeFailure, Exchanged, Line};
use crate::http::outgoing::prepared::Prepared;

impl Account {
    /// Sends a request over a line, and logs in before unless the line is logged in already. What comes back when the back-end does not
    /// take the account, or does not speak NTLM, is its own refusal. `true` with it: the line can be used again.
    pub(in crate::http::outgoing) async fn exchange(
        &self,
        line: &mut Line,
        call: &Prepared,
        origin: &Origin,
        limit: u64,
    ) -> Result<(Exchanged, bool), ExchangeFailure> {
        if line.is_logged_in {
            let (answer, is_reusable) = line.exchange(call.to_request(origin)?, limit).await?;
            // back-ends may forget, and ask anew
            if answer.head.status != StatusCode::UNAUTHORIZED || !is_reusable {
                return Ok((answer, is_reusable));
            }
            line.is_logged_in = false;
        }
        let (asked, is_reusable) = line.exchange(opening(call).to_request(origin)?, limit).await?;
        let answer = self.answer(&asked.head.headers);
        let is_refused = asked.head.status == StatusCode::UNAUTHORIZED;
        let request = match answer.filter(|_| is_refused) {
            Some(answer) => with(call, answer?),
            // everybody may call, and has called already if there was nothing to say
            None if is_refused || call.body.is_empty() => return Ok((asked, is_reusable)),
            None => call.clone(),
        };
        if !is_reusable {
            let message = "the back-end closes its lines in the middle of an NTLM log-in";
            return Err(HttpFailure::Lost(message.into()).into());
        }
        let (answer, is_reusable) = line.exchange(request.to_request(origin)?, limit).await?;
        line.is_logged_in = is_refused && answer.head.status != StatusCode::UNAUTHORIZED;
        Ok((answer, is_reusable))
    }
}

/// The request that asks for a challenge: the same, without its body, which would be sent twice.
fn opening(call: &Prepared) -> Prepared {
    let mut opening = with(call, Account::opening());
    opening.body.clear();
    opening
}

fn with(call: &Prepared, authorization: HeaderValue) -> Prepared {
    let mut call = call.clone();
    call.headers.insert(AUTHORIZATION, authorization);
    call
}
