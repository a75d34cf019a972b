//! What a column can hold, and the headers that it may have.

/// The two kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The merchant's books.
    Orders,
    /// The bank's statement.
    Deposits,
}

/// What a column can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    OrderNo,
    TransactionId,
    Amount,
    CancelledAmount,
    Kind,
    State,
    Date,
    Merchant,
}

impl Field {
    pub(super) const ALL: [Self; 8] =
        [Self::OrderNo, Self::TransactionId, Self::Amount, Self::CancelledAmount, Self::Kind, Self::State, Self::Date, Self::Merchant];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::OrderNo => "order_no",
            Self::TransactionId => "transaction_id",
            Self::Amount => "amount",
            Self::CancelledAmount => "cancelled_amount",
            Self::Kind => "kind",
            Self::State => "state",
            Self::Date => "date",
            Self::Merchant => "merchant",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }

    /// All names, as a sentence lists them.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    pub(super) const fn is_of_both_sides(self) -> bool {
        matches!(self, Self::Amount | Self::Date)
    }

    pub(super) const fn is_of(self, side: Side) -> bool {
        matches!(side, Side::Orders) || self.is_of_both_sides()
    }

    /// Its headers on a side, first to last. Of amounts each list is a class; other fields have one list.
    pub(super) const fn headers(self, side: Side) -> &'static [&'static [&'static str]] {
        match (self, side) {
            (Self::OrderNo, _) => &[&[
                "PG주문번호",
                "상점주문번호",
                "가맹점주문번호",
                "고객사주문번호",
                "쇼핑몰주문번호",
                "주문번호",
                "주문No",
                "orderno",
                "order id",
                "order number",
                "od_id",
            ]],
            (Self::TransactionId, _) => &[&[
                "PG거래번호",
                "승인거래번호",
                "거래고유번호",
                "거래번호",
                "TID",
                "trx id",
                "transaction number",
                "payment reference",
                "od_tno",
                "transaction_id",
            ]],
            (Self::Amount, Side::Orders) => &[
                &["총 결제금액", "총 실결제금액", "최종결제금액", "최종주문금액", "order total", "total"],
                &[
                    "결제금액",
                    "실결제금액",
                    "승인금액",
                    "거래금액",
                    "매출금액",
                    "결제액",
                    "거래액",
                    "금액",
                    "amount",
                    "price",
                    "od_receipt_price",
                ],
                &["품목실결제가", "최종 상품별 총 주문금액", "상품별 총 주문금액", "상품별 결제금액"],
                &["총 주문금액", "주문금액"],
            ],
            (Self::Amount, Side::Deposits) => &[
                &["입금", "입금액", "입금금액", "맡기신금액", "받은금액", "받으신금액", "들어온금액", "deposit", "credit"],
                &["거래금액", "입출금액", "금액", "amount"],
            ],
            (Self::CancelledAmount, _) => &[&[
                "취소금액",
                "취소액",
                "환불금액",
                "환불액",
                "실제 환불금액",
                "총 실제 환불금액",
                "refunded amount",
                "refund amount",
                "od_refund_price",
                "cancelled_amount",
            ]],
            (Self::Kind, _) => &[&["승인취소구분", "승인구분", "매출구분", "결제구분", "거래구분", "구분", "kind", "type"]],
            (Self::State, _) => &[&["주문상태", "결제상태", "거래상태", "상태", "state", "status", "financial status", "od_status"]],
            (Self::Date, Side::Orders) => &[&[
                "결제일시",
                "결제일자",
                "결제일",
                "결제시간",
                "paid at",
                "od_receipt_time",
                "승인일시",
                "승인일자",
                "승인일",
                "거래일시",
                "거래일자",
                "거래일",
                "매출일",
                "주문일시",
                "주문일자",
                "주문일",
                "date",
                "일자",
                "날짜",
            ]],
            (Self::Date, Side::Deposits) => {
                &[&["거래일시", "거래일자", "거래일", "거래날짜", "입금일시", "입금일자", "입금일", "일시", "date", "일자", "날짜"]]
            }
            (Self::Merchant, _) => &[&["가맹점ID", "상점ID", "MID", "가맹점", "merchant id", "api id", "cpid", "merchant"]],
        }
    }
}
