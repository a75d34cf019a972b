//! What codes in a row mean: the manual's, and those of its relatives. A code that nobody documented has no meaning here.

use crate::lang::{Words, words};

use super::source::Field;

/// What a code means.
#[must_use]
pub fn meaning(field: Field, code: &str) -> Option<Words> {
    meanings(field).iter().find(|(known, _)| *known == code).map(|(_, meaning)| *meaning)
}

/// The codes of a field that have a known meaning.
#[must_use]
pub const fn meanings(field: Field) -> &'static [(&'static str, Words)] {
    match field {
        Field::PaymentStatus => {
            const {
                &[
                    ("11", words("approved", "승인")),
                    ("21", words("cancelled the same day", "당일취소")),
                    ("22", words("cancelled later", "일반취소")),
                ]
            }
        }
        Field::StatusCd => const { &[("01", words("pending", "지급대기")), ("03", words("paid", "지급완료"))] },
        Field::Acquirer => {
            const {
                &[
                    ("CCLG", words("Shinhan", "신한카드")),
                    ("CCBC", words("BC", "BC카드")),
                    ("CCKM", words("Kookmin", "국민카드")),
                    ("CCSS", words("Samsung", "삼성카드")),
                    ("CCDI", words("Hyundai", "현대카드")),
                    ("CCLO", words("Lotte", "롯데카드")),
                    ("CCKE", words("KEB Hana", "외환(하나)카드")),
                    ("CCHN", words("Hana", "하나카드")),
                    ("CCNH", words("NH", "NH농협카드")),
                ]
            }
        }
        _ => &[],
    }
}
