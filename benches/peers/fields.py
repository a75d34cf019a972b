"""What every peer makes of the answer's fields: the contract's columns and types."""

AMOUNTS = {"AUTHAMT": "auth_amount", "FEE": "fee", "VAT": "vat", "PAYMENTAMT": "payment_amount", "FINALAMT": "final_amount"}
RATES = {"FEERATE": "fee_rate"}
DATES = {"AUTHDT": "auth_date", "PAYOFFDT": "payoff_date"}
TEXTS = {
    "TRXID": "transaction_id",
    "ORDERNO": "order_no",
    "CPID": "cpid",
    "PAYMENTSTATUS": "payment_status",
    "PAYTYPE": "pay_type",
    "ACQUIRER": "acquirer_code",
    "SETTLE_CYCLE_CD": "settle_cycle_code",
    "STATUS_CD": "payoff_status",
}
FIELDS = {**TEXTS, **AMOUNTS, **RATES, **DATES}
