//! Responses in the API's format, and in that of a web server in front of it. Decides nothing.

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::body::ReplyBody;
use super::faults::Refusal;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const MAINTENANCE: &str = "<!DOCTYPE html>\n<html lang=\"ko\"><head><title>시스템 점검 안내</title>\
                           </head><body><h1>시스템 점검 중입니다</h1><p>잠시 후 다시 이용해 주세요.\
                           </p></body></html>\n";

pub(super) type Reply = Response<ReplyBody>;

/// An error of the API, reported in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(&'static str, &'static str);

pub(super) const BAD_REQUEST: Refused = Refused("E001", "요청 형식이 올바르지 않습니다");
pub(super) const BAD_FIELD: Refused = Refused("E002", "필수 항목이 없거나 길이를 초과하였습니다");
pub(super) const BAD_DATE: Refused = Refused("E003", "지급일(DATE) 형식이 올바르지 않습니다");
pub(super) const BAD_KEY: Refused = Refused("E101", "등록되지 않은 ID이거나 연동키가 일치하지 않습니다");
pub(super) const OTHER_ID: Refused = Refused("E102", "API_ID가 TOKEN을 발급받은 ID와 다릅니다");
pub(super) const TOKEN_DOWN: Refused = Refused("E999", "TOKEN을 발행할 수 없습니다");
const BAD_TOKEN: Refused = Refused("E401", "TOKEN이 없거나 만료되었습니다");

/// A token for a merchant.
pub(super) fn token(token: &str) -> Reply {
    json_value(&json!({"RTN_CD": "0000", "RTN_MSG": "정상", "TOKEN": token}))
}

/// A refused token request.
pub(super) fn token_refused(Refused(code, message): Refused) -> Reply {
    json_value(&json!({"RTN_CD": code, "RTN_MSG": message}))
}

/// A settlement response.
pub(super) fn settlement(body: ReplyBody) -> Reply {
    typed(body, JSON)
}

/// A settlement request that was refused.
pub(super) fn settlement_refused(Refused(code, message): Refused) -> Reply {
    json_value(&json!({"RESULTCODE": code, "RESULTMSG": message}))
}

/// A settlement request that the API failed to serve.
pub(super) fn settlement_failed(code: &str) -> Reply {
    json_value(&json!({"RESULTCODE": code, "RESULTMSG": "처리 중 오류가 발생하였습니다"}))
}

/// A settlement request without a valid token.
pub(super) fn unauthorized() -> Reply {
    with_status(settlement_refused(BAD_TOKEN), StatusCode::UNAUTHORIZED)
}

/// A web page in place of JSON.
pub(super) fn maintenance() -> Reply {
    typed(ReplyBody::short(MAINTENANCE), HTML)
}

/// A status as a web server in front of the API sends it.
pub(super) fn page(status: StatusCode) -> Reply {
    let html = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
    with_status(typed(ReplyBody::short(html), HTML), status)
}

/// A status, with `Retry-After` if the fault has one.
pub(super) fn refusal(refusal: Refusal) -> Reply {
    let mut reply = page(refusal.status);
    if let Some(wait) = refusal.retry_after {
        let seconds = HeaderValue::from(wait.as_secs());
        reply.headers_mut().insert(RETRY_AFTER, seconds);
    }
    reply
}

/// A request with another method than `allowed`.
pub(super) fn not_allowed(allowed: &Method) -> Reply {
    let mut reply = page(StatusCode::METHOD_NOT_ALLOWED);
    if let Ok(method) = HeaderValue::from_str(allowed.as_str()) {
        reply.headers_mut().insert(ALLOW, method);
    }
    reply
}

/// The result of an inspection.
pub(super) fn inspected(json: impl Into<Bytes>) -> Reply {
    typed(ReplyBody::short(json), JSON)
}

/// An inspection of something that does not exist.
pub(super) fn bad_query(error: &str) -> Reply {
    with_status(json_value(&json!({"error": error})), StatusCode::BAD_REQUEST)
}

fn json_value(value: &Value) -> Reply {
    typed(ReplyBody::short(value.to_string()), JSON)
}

fn typed(body: ReplyBody, content_type: HeaderValue) -> Reply {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

fn with_status(mut reply: Reply, status: StatusCode) -> Reply {
    *reply.status_mut() = status;
    reply
}
