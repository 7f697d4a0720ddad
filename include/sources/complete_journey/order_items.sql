-- Every line, numbered within its basket as it stands in the file. sales_value is the whole line's; a line of quantity 0
-- has no price of one piece. Fuel is counted in very small units, thousands a visit.
select
    basket_id as order_id,
    row_number() over (partition by basket_id order by _file, _row) as line_number,
    product_id,
    quantity,
    try_cast(sales_value as double) / nullif(try_cast(quantity as bigint), 0) as unit_price,
    _file,
    _row
from transactions
