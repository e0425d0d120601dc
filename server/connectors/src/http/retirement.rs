//! When a channel is not to be used any more, and when it will be gone: the headers `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).

use std::ops::Range;
use std::time::SystemTime;

use http::header::{HeaderName, HeaderValue};
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use busbar_model::object::FieldError;

use crate::http::config::ChannelHttp;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

const DAY: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// Seconds from 1970 to the year 10000: what headers can say.
const SAYABLE: Range<i64> = 0..253_402_300_800;

/// A point in time out of RFC 3339; of a date, its first moment in UTC.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let moment = OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .or_else(|| Some(Date::parse(text, DAY).ok()?.midnight().assume_utc()))?;
    SAYABLE.contains(&moment.unix_timestamp()).then_some(moment)
}

/// Checks what a channel says of its end.
pub(crate) fn check(channel: &ChannelHttp) -> Result<(), FieldError> {
    for (field, text) in [("deprecation", &channel.deprecation), ("sunset", &channel.sunset)] {
        if let Some(text) = text
            && moment(text).is_none()
        {
            return Err(FieldError::new(
                field,
                format!(
                    "must be a date, `2026-03-01`, or a time with its zone, `2026-03-01T12:00:00Z`, from 1970 on, not `{text}`"
                ),
            ));
        }
    }
    let end = |text: &Option<String>| text.as_deref().and_then(moment);
    if let (Some(deprecation), Some(sunset)) = (end(&channel.deprecation), end(&channel.sunset))
        && sunset < deprecation
    {
        return Err(FieldError::new("sunset", "must not be before `deprecation`"));
    }
    Ok(())
}

/// What answers of a channel say of its end.
pub(crate) fn headers(channel: &ChannelHttp) -> Vec<(HeaderName, HeaderValue)> {
    let deprecation = channel.deprecation.as_deref().and_then(moment).map(|moment| {
        let text = format!("@{}", moment.unix_timestamp());
        (DEPRECATION, text)
    });
    let sunset = channel.sunset.as_deref().and_then(moment).map(|moment| {
        let text = httpdate::fmt_http_date(SystemTime::from(moment));
        (SUNSET, text)
    });
    let all = [deprecation, sunset].into_iter().flatten();
    all.filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(deprecation: &str, sunset: &str) -> ChannelHttp {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ChannelHttp {
            deprecation: some(deprecation),
            sunset: some(sunset),
            ..ChannelHttp::default()
        }
    }

    #[test]
    fn headers_have_the_forms_of_their_standards() {
        let channel = channel("2026-03-01", "2026-09-01T02:00:00+02:00");
        check(&channel).unwrap();
        let expected = [
            (DEPRECATION, HeaderValue::from_static("@1772323200")),
            (SUNSET, HeaderValue::from_static("Tue, 01 Sep 2026 00:00:00 GMT")),
        ];
        assert_eq!(headers(&channel), expected);
        assert_eq!(headers(&ChannelHttp::default()), []);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (deprecation, sunset, field) in [
            ("soon", "", "deprecation"),
            ("1969-12-31", "", "deprecation"),
            ("", "2026-02-30", "sunset"),
            ("", "9999-12-31T23:59:59", "sunset"),
            ("2026-03-01", "2026-02-28", "sunset"),
        ] {
            let error = check(&channel(deprecation, sunset)).unwrap_err();
            assert_eq!(error.field, field, "{deprecation} {sunset}");
        }
        for text in ["9999-12-31", "9999-12-31T23:59:59-23:59"] {
            let channel = channel("", text);
            if check(&channel).is_ok() {
                assert_eq!(headers(&channel).len(), 1, "{text}");
            }
        }
    }
}
