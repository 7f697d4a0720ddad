select
    key_of([user_id, item_id, category_id, behavior, timestamp]) as order_id,
    1 as line_number,
    item_id as product_id,
    1 as quantity,
    _file,
    _row
from behaviours
where behavior = 'buy'
