-- Olist writes a piece a line, so a line's quantity is 1.
select
    order_id,
    order_item_id as line_number,
    product_id,
    1 as quantity,
    price as unit_price,
    _file,
    _row
from order_items
