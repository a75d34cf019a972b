"""pandas: both sides added up by order number, and an outer merge. Amounts are whole hundredths, because Decimal objects would take
minutes."""

import json
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

orders, lake = sys.argv[1:]
lines = pd.read_csv(orders, dtype=str)
amount = (lines["결제금액(원)"].str.replace(",", "").astype("int64") * 100).abs()
lines["order_amount"] = amount.where(lines["승인취소구분"] == "승인", -amount)
lines = lines.groupby("주문번호", as_index=False)["order_amount"].sum().rename(columns={"주문번호": "order_no"})

table = ds.dataset(f"{lake}/settlements", partitioning=None).to_table(columns=["order_no", "payment_status", "auth_amount"])
cents = pc.cast(pc.multiply(pc.cast(table["auth_amount"], pa.decimal128(18, 2)), pa.scalar(100, pa.decimal128(3, 0))), "int64")
rows = pd.DataFrame({"order_no": table["order_no"].to_pandas(), "status": table["payment_status"].to_pandas(), "cents": cents.to_pandas()})
rows["pg_amount"] = rows["cents"].where(rows["status"] == "11", -rows["cents"].abs()).where(rows["status"].isin(["11", "21", "22"]), 0)
rows = rows.groupby("order_no", as_index=False, dropna=False).agg(pg_amount=("pg_amount", "sum"), rows=("pg_amount", "size"))

cases = lines.merge(rows, on="order_no", how="outer").fillna(0)
total = int(cases["order_amount"].sum())
found = {
    "order_amount": f"{total // 100}.{total % 100:02}",
    "rows": int(cases["rows"].sum()),
    "matched": int((cases["order_amount"] == cases["pg_amount"]).sum()),
    "cases": len(cases),
}
print(json.dumps(found))
