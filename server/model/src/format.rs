//! Data formats and channel types, spelt as services and clients know them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a channel's bodies are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum DataFormat {
    /// Raw bytes.
    #[default]
    #[serde(rename = "")]
    None,
    /// JSON.
    #[serde(rename = "json")]
    Json,
    /// Plain XML.
    #[serde(rename = "xml")]
    Xml,
    /// A Python object, between services of one worker.
    #[serde(rename = "dict")]
    Dict,
    /// CSV: a row is one item.
    #[serde(rename = "csv")]
    Csv,
    /// An HTML form in, JSON out.
    #[serde(rename = "form")]
    Form,
    /// The same, whatever content type the request says that it has.
    #[serde(rename = "post")]
    Post,
}

impl DataFormat {
    /// The name that `self.data_format` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Dict => "dict",
            Self::Csv => "csv",
            Self::Form => "form",
            Self::Post => "post",
        }
    }

    /// One byte, for the link.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The other way; anything unknown is raw bytes.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Json,
            2 => Self::Xml,
            3 => Self::Dict,
            4 => Self::Csv,
            5 => Self::Form,
            6 => Self::Post,
            _ => Self::None,
        }
    }
}

/// Version of SOAP that a channel speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum SoapVersion {
    /// 1.1
    #[default]
    #[serde(rename = "1.1")]
    V11,
    /// 1.2
    #[serde(rename = "1.2")]
    V12,
}

/// Where a call came from: `self.channel.type` (service-api.md 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChannelType {
    /// An HTTP channel.
    #[serde(rename = "http-soap")]
    HttpSoap,
    /// `self.invoke`, the command line, an administrator.
    #[serde(rename = "invoke")]
    Invoke,
    /// `self.invoke_async`: out of the queue. The body is an envelope that a service of this server has written, which also says what else
    /// is to be called: nothing that came from outside may ever travel under this type.
    #[serde(rename = "invoke-async")]
    InvokeAsync,
    /// A job of the scheduler.
    #[serde(rename = "scheduler")]
    Scheduler,
    /// A JSON-RPC channel.
    #[serde(rename = "json-rpc")]
    JsonRpc,
    /// `zato.service.invoke`: the caller says what the channel is called, and services see that as its type.
    #[serde(rename = "named")]
    Named,
}

impl ChannelType {
    /// The name that `self.channel.type` shows, unless the channel's caller chose one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpSoap => "http-soap",
            Self::Invoke | Self::Named => "invoke",
            Self::InvokeAsync => "invoke-async",
            Self::Scheduler => "scheduler",
            Self::JsonRpc => "json-rpc",
        }
    }

    /// One byte, for the link.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The other way; anything unknown is an invocation.
    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::HttpSoap,
            2 => Self::InvokeAsync,
            3 => Self::Scheduler,
            4 => Self::JsonRpc,
            5 => Self::Named,
            _ => Self::Invoke,
        }
    }
}

/// Type of the scheduler's job that calls a service: `self.job_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobType {
    /// Runs once.
    #[serde(rename = "one_time")]
    OneTime,
    /// Runs every so often.
    #[serde(rename = "interval_based")]
    IntervalBased,
    /// Runs when a calendar says so.
    #[serde(rename = "cron_style")]
    CronStyle,
}

impl JobType {
    /// The name that `self.job_type` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneTime => "one_time",
            Self::IntervalBased => "interval_based",
            Self::CronStyle => "cron_style",
        }
    }

    /// Two bits, for the link; 0 is no job.
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The other way.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::OneTime, Self::IntervalBased, Self::CronStyle]
            .into_iter()
            .find(|job_type| job_type.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for format in [
            DataFormat::None,
            DataFormat::Json,
            DataFormat::Xml,
            DataFormat::Dict,
            DataFormat::Csv,
            DataFormat::Form,
            DataFormat::Post,
        ] {
            assert_eq!(DataFormat::from_code(format.code()), format);
        }
        for kind in [
            ChannelType::HttpSoap,
            ChannelType::Invoke,
            ChannelType::InvokeAsync,
            ChannelType::Scheduler,
            ChannelType::JsonRpc,
            ChannelType::Named,
        ] {
            assert_eq!(ChannelType::from_code(kind.code()), kind);
        }
        for job in [JobType::OneTime, JobType::IntervalBased, JobType::CronStyle] {
            assert_eq!(JobType::from_code(job.code()), Some(job));
        }
        assert_eq!(JobType::from_code(0), None);
    }
}
