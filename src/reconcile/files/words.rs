//! What the words of a kind or a state mean.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use unicode_normalization::UnicodeNormalization as _;

/// What a word makes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Word {
    /// Money came in.
    Paid = 1,
    /// All of it went back.
    Back = 2,
    /// A part of it went back.
    Part = 3,
    /// No money has moved.
    None = 4,
}

const PAID: &str = "승인 결제 결제완료 입금 입금확인 입금완료 완료 정상 매출 매입 매입완료 준비 상품준비중 배송준비중 발송처리 배송 배송중 \
                    배송완료 구매확정 거래개시 거래종료 교환 교환완료 취소요청 반품요청 환불요청 교환요청 \
                    approved paid sale payment captured completed processing";
const BACK: &str = "취소 결제취소 승인취소 주문취소 거래취소 매입취소 취소완료 환불 환불완료 전체환불 반품 반품완료 \
                    cancelled canceled cancel refund refunded void voided";
const PART: &str = "부분취소 부분환불 partially_refunded";
const NONE: &str = "주문 미입금 입금전 입금대기 결제대기 결제실패 승인실패 입금전취소 미결제취소 결제기한초과 pending failed expired";

/// `WORD=paid|back|part|none`: what a word means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordChoice {
    /// As words are compared.
    pub(super) word: String,
    pub(super) means: Word,
}

/// The known words.
pub(super) struct Words(HashMap<String, Word, RandomState>);

/// What a cell of a column of words holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Blank,
    Known(Word),
    Unknown,
}

impl Words {
    /// The listed words, and those of `--word`, which take precedence.
    pub(super) fn new(choices: &[WordChoice]) -> Self {
        let lists = [(PAID, Word::Paid), (BACK, Word::Back), (PART, Word::Part), (NONE, Word::None)];
        let listed = lists.into_iter().flat_map(|(list, means)| list.split_whitespace().map(move |word| (folded(word), means)));
        let chosen = choices.iter().map(|choice| (choice.word.clone(), choice.means));
        Self(listed.chain(chosen).collect())
    }

    pub(super) fn find(&self, cell: &str) -> Found {
        // nearly all cells are a word as listed
        if let Some(word) = self.0.get(cell) {
            return Found::Known(*word);
        }
        if matches!(cell.trim(), "" | "-") {
            return Found::Blank;
        }
        self.0.get(&folded(cell)).map_or(Found::Unknown, |word| Found::Known(*word))
    }
}

/// A word as words are compared: without spaces and what follows ` - `, `(` or `[`, in lower case.
pub(super) fn folded(cell: &str) -> String {
    let text: String = cell.nfkc().collect();
    let end = [" - ", "(", "["].into_iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text[..end].chars().filter(|c| !c.is_whitespace() && *c != '_' && *c != '\u{FEFF}').flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_word() {
        let words = Words::new(&[]);
        for (list, means) in [(PAID, Word::Paid), (BACK, Word::Back), (PART, Word::Part), (NONE, Word::None)] {
            for word in list.split_whitespace() {
                for written in
                    [word.to_owned(), word.to_uppercase(), format!(" {word} "), format!("{word}(카드)"), format!("{word} - 고객")]
                {
                    assert_eq!(words.find(&written), Found::Known(means), "{written:?}");
                }
            }
        }
    }

    #[test]
    fn words_as_people_write_them() {
        let words = Words::new(&["품절=none".parse().unwrap(), "취소=part".parse().unwrap()]);
        for (cell, found) in [
            ("결제 완료", Found::Known(Word::Paid)),
            ("전체 환불 [카드]", Found::Known(Word::Back)),
            ("Partially Refunded", Found::Known(Word::Part)),
            ("취소（고객）", Found::Known(Word::Part)),
            ("품 절", Found::Known(Word::None)),
            ("\u{110E}\u{1171}\u{1109}\u{1169}\u{110B}\u{116D}\u{110E}\u{1165}\u{11BC}", Found::Known(Word::Paid)),
            ("", Found::Blank),
            (" - ", Found::Blank),
            ("-", Found::Blank),
            ("출고", Found::Unknown),
            ("(취소)", Found::Unknown),
        ] {
            assert_eq!(words.find(cell), found, "{cell:?}");
        }
    }
}
