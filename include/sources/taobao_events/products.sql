-- The catalogue is what people looked at; of an item in several categories, the one most often named.
with named as (
    select item_id, category_id, count(*) as times from behaviours where item_id is not null group by item_id, category_id
)

select item_id as product_id, arg_max(category_id, (times, category_id)) as category
from named
group by item_id
