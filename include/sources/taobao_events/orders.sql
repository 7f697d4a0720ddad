-- The file knows no orders: each purchase is one of a single line, paid and not heard of again.
select
    key_of([user_id, item_id, category_id, behavior, timestamp]) as order_id,
    user_id as customer_id,
    from_unix_seconds(timestamp) as ordered_at,
    'paid' as status,
    _file,
    _row
from behaviours
where behavior = 'buy'
