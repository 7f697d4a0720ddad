-- Every line of the file, numbered within its invoice as it stands there. What the direction was (sold, taken back,
-- corrected) is the order's status, so quantities are positive.
select
    InvoiceNo as order_id,
    row_number() over (partition by InvoiceNo order by _file, _row) as line_number,
    upper(trim(StockCode)) as product_id,
    regexp_replace(Quantity, '^-', '') as quantity,
    UnitPrice as unit_price,
    _file,
    _row
from invoice_lines
