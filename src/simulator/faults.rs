//! Which fault applies to which request: the grammar of `--sim-fault`, and the decision. Injects no
//! fault itself.
//!
//! ```text
//! SPEC  = KIND [@DATE] [xN] [:RATE]
//! KIND  = 400..599[+D] | cut | stall | reset | html | expire | code=XXXX | latency=D | token-400..599[+D] | token-refused
//! ```
//! The first rule that matches decides; a latency comes on top. `D` is a duration, after a status
//! whole seconds.

use std::fmt;
use std::time::Duration;

use chrono::NaiveDate;
use hyper::StatusCode;

use super::dates;
use super::draw::{hash, mix};
use super::error::OptionsError;

const KINDS: &str = "expected an HTTP status 400..599 (with +5s for Retry-After), cut, stall, reset, html, expire, \
                     code=XXXX, latency=D, token-STATUS and token-refused";
const SCOPES: &str = "expected @YYYY-MM-DD, xN and :RATE after the kind, in this order";
const MILLION: u64 = 1_000_000;

/// An HTTP status in place of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// In whole seconds.
    pub(super) retry_after: Option<Duration>,
}

/// What happens instead of a settlement response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InjectedFault {
    /// Another status.
    Status(Refusal),
    /// Half of the body, and the connection is closed in the middle of the framing.
    CutFraming,
    /// Half of the body, in framing that looks complete.
    CutJson,
    /// Half of the body, and then nothing.
    Stall,
    /// The connection is closed without a response.
    Reset,
    /// A web page under status 200.
    Html,
    /// The token is forgotten and refused.
    Expire,
    /// An error of the API itself.
    Code(String),
}

/// What happens instead of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenFault {
    /// Another status.
    Status(Refusal),
    /// An error of the API itself.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum RuleKind {
    /// With cuts as `CutFraming`, which stands for both.
    Settlement(InjectedFault),
    Latency(Duration),
    Token(TokenFault),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    kind: RuleKind,
    date: Option<NaiveDate>,
    /// Only the first so many requests.
    first: Option<u64>,
    /// Out of a million requests.
    millionths: u64,
}

/// The parts of a settlement request that decide its faults.
#[derive(Debug, Clone, Copy)]
pub(super) struct FaultContext<'a> {
    pub(super) seed: u64,
    pub(super) merchant: &'a str,
    pub(super) pay_date: NaiveDate,
    /// How many requests this merchant made before for this pay date.
    pub(super) earlier: u64,
}

/// The rules, in the order of the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Vec<Rule>);

impl Faults {
    pub(super) fn parse(specs: &[String]) -> Result<Self, OptionsError> {
        let rule = |spec: &String| parse_rule(spec).map_err(|reason| OptionsError::Fault { spec: spec.clone(), reason });
        specs.iter().map(rule).collect::<Result<_, _>>().map(Self)
    }

    /// The fault of a settlement request.
    pub(super) fn settlement(&self, request: FaultContext<'_>) -> Option<InjectedFault> {
        let fault = self.0.iter().find_map(|rule| match &rule.kind {
            RuleKind::Settlement(fault) if rule.matches(request) => Some(fault.clone()),
            _ => None,
        })?;
        if fault == InjectedFault::CutFraming {
            // alternates between the two kinds of cut on every date, without the same one first on all dates
            let turn = hash(request.seed, "cut sort", request.merchant, request.pay_date, 0).wrapping_add(request.earlier);
            return Some(if turn.is_multiple_of(2) { InjectedFault::CutFraming } else { InjectedFault::CutJson });
        }
        Some(fault)
    }

    /// How long a settlement request waits before its response.
    pub(super) fn latency(&self, request: FaultContext<'_>) -> Option<Duration> {
        self.0.iter().find_map(|rule| match rule.kind {
            RuleKind::Latency(latency) if rule.matches(request) => Some(latency),
            _ => None,
        })
    }

    /// The fault of a token request that `earlier` requests preceded.
    pub(super) fn token(&self, seed: u64, earlier: u64) -> Option<TokenFault> {
        let request = FaultContext { seed, merchant: "", pay_date: NaiveDate::default(), earlier };
        self.0.iter().find_map(|rule| match rule.kind {
            RuleKind::Token(fault) if rule.matches(request) => Some(fault),
            _ => None,
        })
    }
}

impl Rule {
    /// Depends on nothing but the rule and the request, so the order of requests for other dates
    /// does not matter.
    fn matches(&self, request: FaultContext<'_>) -> bool {
        let FaultContext { seed, merchant, pay_date, earlier } = request;
        self.date.is_none_or(|date| date == pay_date)
            && self.first.is_none_or(|first| earlier < first)
            && mix(hash(seed, &self.kind.to_string(), merchant, pay_date, earlier), 0) % MILLION < self.millionths
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settlement(InjectedFault::Status(refusal)) => write!(f, "{}", refusal.status.as_u16()),
            Self::Settlement(InjectedFault::CutFraming | InjectedFault::CutJson) => f.write_str("cut"),
            Self::Settlement(InjectedFault::Stall) => f.write_str("stall"),
            Self::Settlement(InjectedFault::Reset) => f.write_str("reset"),
            Self::Settlement(InjectedFault::Html) => f.write_str("html"),
            Self::Settlement(InjectedFault::Expire) => f.write_str("expire"),
            Self::Settlement(InjectedFault::Code(code)) => write!(f, "code={code}"),
            Self::Latency(_) => f.write_str("latency"),
            Self::Token(TokenFault::Status(refusal)) => {
                write!(f, "token-{}", refusal.status.as_u16())
            }
            Self::Token(TokenFault::Refused) => f.write_str("token-refused"),
        }
    }
}

fn parse_rule(spec: &str) -> Result<Rule, String> {
    let (rest, rate) = spec.split_once(':').map_or((spec, None), |(rest, rate)| (rest, Some(rate)));
    let millionths = rate.map_or(Some(MILLION), parse_millionths);
    let millionths = millionths.ok_or("the rate must be a number from 0 to 1, such as :0.25 (to six decimals)")?;
    // no kind ends in x and digits, so a count is unambiguous
    let (rest, first) = match rest.rsplit_once('x') {
        Some((before, count)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
            let count = count.parse().ok().filter(|count| *count > 0).ok_or("the count after x must be 1 or more")?;
            (before, Some(count))
        }
        _ => (rest, None),
    };
    let (kind, date) = rest.split_once('@').map_or((rest, None), |(kind, date)| (kind, Some(date)));
    let date = match date {
        None => None,
        Some(text) => Some(dates::parse(text).ok_or_else(|| format!("{text:?} is not a date; {SCOPES}"))?),
    };
    let kind = parse_kind(kind)?;
    if date.is_some() && matches!(kind, RuleKind::Token(_)) {
        return Err("a token request has no pay date; expected xN and :RATE".into());
    }
    Ok(Rule { kind, date, first, millionths })
}

fn parse_kind(text: &str) -> Result<RuleKind, String> {
    let fault = match text {
        "cut" => InjectedFault::CutFraming,
        "stall" => InjectedFault::Stall,
        "reset" => InjectedFault::Reset,
        "html" => InjectedFault::Html,
        "expire" => InjectedFault::Expire,
        "token-refused" => return Ok(RuleKind::Token(TokenFault::Refused)),
        _ => {
            if let Some(code) = text.strip_prefix("code=") {
                return parse_code(code).map(|code| RuleKind::Settlement(InjectedFault::Code(code)));
            }
            if let Some(latency) = text.strip_prefix("latency=") {
                let latency = humantime::parse_duration(latency);
                return latency.map(RuleKind::Latency).map_err(|_| "expected a duration, such as latency=200ms".into());
            }
            if let Some(status) = text.strip_prefix("token-") {
                return parse_refusal(status).map(|refusal| RuleKind::Token(TokenFault::Status(refusal)));
            }
            InjectedFault::Status(parse_refusal(text)?)
        }
    };
    Ok(RuleKind::Settlement(fault))
}

fn parse_code(code: &str) -> Result<String, String> {
    let legible = code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if legible && code != "0000" {
        return Ok(code.into());
    }
    Err("expected a result code of four capitals and digits other than 0000, such as code=E999".into())
}

fn parse_refusal(text: &str) -> Result<Refusal, String> {
    let (status, retry_after) = text.split_once('+').map_or((text, None), |(status, wait)| (status, Some(wait)));
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(|status| (400..600).contains(&status.as_u16())).ok_or(KINDS)?;
    let retry_after = match retry_after {
        None => None,
        Some(wait) => Some(
            humantime::parse_duration(wait)
                .ok()
                .filter(|wait| wait.subsec_nanos() == 0)
                .ok_or("expected whole seconds after the +, such as 429+5s")?,
        ),
    };
    Ok(Refusal { status, retry_after })
}

/// Reads a decimal from 0 to 1 without going through floating point.
fn parse_millionths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) {
        return None;
    }
    let millionths = whole.parse::<u64>().ok()? * MILLION + format!("{decimals:0<6}").parse::<u64>().ok()?;
    (millionths <= MILLION).then_some(millionths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(specs: &[&str]) -> Faults {
        Faults::parse(&specs.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    fn request(day: &str, earlier: u64) -> FaultContext<'static> {
        FaultContext { seed: 1, merchant: "m", pay_date: dates::parse(day).unwrap(), earlier }
    }

    #[test]
    fn reads_the_grammar() {
        let refusal = |code, seconds: Option<u64>| Refusal {
            status: StatusCode::from_u16(code).unwrap(),
            retry_after: seconds.map(Duration::from_secs),
        };
        let day = dates::parse("2024-01-05");
        for (spec, kind, date, first, millionths) in [
            ("500:0.2", RuleKind::Settlement(InjectedFault::Status(refusal(500, None))), None, None, 200_000),
            ("429+5s:0.1", RuleKind::Settlement(InjectedFault::Status(refusal(429, Some(5)))), None, None, 100_000),
            ("503+0s@2024-01-05x2", RuleKind::Settlement(InjectedFault::Status(refusal(503, Some(0)))), day, Some(2), MILLION),
            ("503@20240105x2:1", RuleKind::Settlement(InjectedFault::Status(refusal(503, None))), day, Some(2), MILLION),
            ("expirex1", RuleKind::Settlement(InjectedFault::Expire), None, Some(1), MILLION),
            ("expire:0.000001", RuleKind::Settlement(InjectedFault::Expire), None, None, 1),
            ("code=E999:1.0", RuleKind::Settlement(InjectedFault::Code("E999".into())), None, None, MILLION),
            ("latency=1m 200ms@2024-01-05", RuleKind::Latency(Duration::from_millis(60_200)), day, None, MILLION),
            ("token-500:0.5", RuleKind::Token(TokenFault::Status(refusal(500, None))), None, None, 500_000),
            ("token-429+1m:0", RuleKind::Token(TokenFault::Status(refusal(429, Some(60)))), None, None, 0),
            ("token-refusedx3", RuleKind::Token(TokenFault::Refused), None, Some(3), MILLION),
        ] {
            assert_eq!(parse_rule(spec), Ok(Rule { kind, date, first, millionths }), "{spec}");
        }
    }

    #[test]
    fn refuses_the_rest_and_names_what_is_accepted() {
        for (spec, reason) in [
            ("", KINDS),
            ("boom", KINDS),
            ("200", KINDS),
            ("600", KINDS),
            ("cut:1.1", "from 0 to 1"),
            ("cut:-0.1", "from 0 to 1"),
            ("cut:", "from 0 to 1"),
            ("cut:0.1234567", "from 0 to 1"),
            ("cut@2024-02-30", "\"2024-02-30\" is not a date"),
            ("cut:0.1@2024-01-05", "from 0 to 1"),
            ("cut@2024-01-05x0", "1 or more"),
            ("code=0000", "other than 0000"),
            ("code=e9", "four capitals"),
            ("latency=fast", "a duration"),
            ("429+1500ms", "whole seconds"),
            ("token-500@2024-01-05", "no pay date"),
            ("token-boom", KINDS),
        ] {
            let message = parse_rule(spec).unwrap_err();
            assert!(message.contains(reason), "{spec}: {message}");
        }
    }

    #[test]
    fn a_rate_is_kept_over_many_days_and_repeats() {
        let faults = faults(&["500:0.2"]);
        let day = |n: u64| FaultContext { pay_date: dates::after(NaiveDate::default(), n), ..request("2024-01-05", n % 3) };
        let hit: Vec<_> = (0..10_000).filter(|n| faults.settlement(day(*n)).is_some()).collect();
        assert!((1_850..2_150).contains(&hit.len()), "{}", hit.len());
        assert!(hit.iter().all(|n| faults.settlement(day(*n)).is_some()));
        let other_seed = (0..10_000).filter(|n| faults.settlement(FaultContext { seed: 2, ..day(*n) }).is_some());
        assert_ne!(other_seed.collect::<Vec<_>>(), hit);
    }

    #[test]
    fn a_retry_is_decided_afresh() {
        let faults = faults(&["cut:0.5"]);
        let hit = (0..64).filter(|n| faults.settlement(request("2024-01-05", *n)).is_some()).count();
        assert!((16..48).contains(&hit), "{hit}");
    }

    #[test]
    fn dates_counts_and_order_narrow_a_rule() {
        let faults = faults(&["503@2024-01-05x2", "html@2024-01-05", "latency=1s@2024-01-05", "token-refusedx1"]);
        let sorts = |day, earlier| faults.settlement(request(day, earlier));
        assert!(matches!(sorts("2024-01-05", 1), Some(InjectedFault::Status(_))));
        assert_eq!(sorts("2024-01-05", 2), Some(InjectedFault::Html));
        assert_eq!(sorts("2024-01-06", 0), None);
        assert_eq!(faults.latency(request("2024-01-05", 9)), Some(Duration::from_secs(1)));
        assert_eq!(faults.latency(request("2024-01-06", 0)), None);
        assert_eq!((faults.token(1, 0), faults.token(1, 1)), (Some(TokenFault::Refused), None));
    }

    #[test]
    fn the_two_sorts_of_cut_alternate() {
        let faults = faults(&["cut"]);
        let sort = |earlier| faults.settlement(request("2024-01-05", earlier)).unwrap();
        assert_ne!(sort(0), sort(1));
        assert_eq!(sort(0), sort(2));
    }
}
