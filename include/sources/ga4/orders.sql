-- A purchase that was told twice (the page was loaded again) is one order, of the first time. A refund without items takes all of
-- it back.
with purchases as (
    select *, ga4_order(ecommerce, event_params, user_pseudo_id, event_timestamp) as order_id
    from events
    where event_name = 'purchase'
),

firsts as (
    select * from purchases
    qualify row_number() over (partition by order_id order by try_cast(event_timestamp as bigint), _file, _row) = 1
),

refunded as (
    select distinct ga4_order(ecommerce, event_params, user_pseudo_id, event_timestamp) as order_id
    from events
    where event_name = 'refund' and len(ga4_list(items)) = 0
)

select
    firsts.order_id,
    ga4_visitor(firsts.user_id, firsts.user_pseudo_id) as customer_id,
    from_unix_microseconds(firsts.event_timestamp) as ordered_at,
    case when refunded.order_id is null then 'paid' else 'returned' end as status,
    coalesce(ga4_param(firsts.event_params, 'value'), try_cast(firsts.ecommerce as json) ->> 'purchase_revenue') as total,
    ga4_param(firsts.event_params, 'currency') as currency,
    ga4_param(firsts.event_params, 'debug_mode') is not null as is_test,
    firsts._file,
    firsts._row
from firsts
left join refunded on firsts.order_id = refunded.order_id
