-- Page views, carts and favourites; what was bought is an order. Unix seconds name a moment, so the times are UTC, though
-- the people lived by Beijing time (UTC+8).
select
    key_of([user_id, item_id, category_id, behavior, timestamp]) as event_id,
    case behavior when 'pv' then 'view' when 'fav' then 'wishlist' else behavior end as event_type,
    from_unix_seconds(timestamp) as occurred_at,
    user_id as customer_id,
    item_id as product_id,
    _file,
    _row
from behaviours
where behavior is distinct from 'buy'
