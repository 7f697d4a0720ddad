-- A row an item that was looked at or put into the cart, and a row a search; page views and the like are no events of the contract.
-- Lists count where they are recommendations, which the shop front says in the list's id or name. All events of a batch may have
-- one time, so an event's key says all that tells it from the others.
with kinds as (
    select
        *,
        case event_name
            when 'view_item' then 'view'
            when 'add_to_cart' then 'cart'
            when 'add_to_wishlist' then 'wishlist'
            when 'view_search_results' then 'search'
            when 'search' then 'search'
            when 'view_item_list' then 'recommendation_impression'
            when 'select_item' then 'recommendation_click'
        end as event_type
    from events
),

told as (
    select
        *,
        case when event_type = 'search' then ga4_param(event_params, 'search_term') end as query,
        unnest(case when event_type = 'search' or len(ga4_list(items)) = 0 then [null] else ga4_list(items) end) as item,
        concat_ws(' ', ga4_param(event_params, 'item_list_id'), ga4_param(event_params, 'item_list_name')) as list_name
    from kinds
    where event_type is not null or event_name is null
)

select
    case
        when event_name is not null
            then key_of(
                [
                    user_pseudo_id, event_timestamp, event_name, event_bundle_sequence_id, batch_page_id, batch_ordering_id,
                    batch_event_index, ga4_product(item), item ->> 'item_list_index', query
                ]
            )
    end as event_id,
    event_type,
    from_unix_microseconds(event_timestamp) as occurred_at,
    ga4_visitor(user_id, user_pseudo_id) as customer_id,
    user_pseudo_id || '.' || ga4_param(event_params, 'ga_session_id') as session_id,
    ga4_product(item) as product_id,
    query,
    case when event_type like 'recommendation%' then nullif(coalesce(item ->> 'item_list_index', item ->> 'index'), '0') end as position,
    _file,
    _row
from told
where
    event_type is null
    or event_type not like 'recommendation%'
    or concat_ws(' ', item ->> 'item_list_id', item ->> 'item_list_name', list_name) ilike '%recommend%'
