-- Lists of a whole shop at once do not fit into memory, and the engine cannot put them aside.
{{ config(bucketed_by='interactions', bucketed_on='customer_id') }}

with grouped as (
    select
        customer_id,
        {{ last_rows(['occurred_at', 'product_id', 'event_type', 'split'], var('max_sequence_length')) }} as in_time
    from {{ ref('interactions') }}
    where {{ in_bucket('customer_id') }}
    group by customer_id
),

listed as (
    select
        grouped.customer_id,
        {{ column_of_rows('grouped.in_time', 'product_id') }} as product_ids,
        {{ column_of_rows('grouped.in_time', 'event_type') }} as event_types,
        {{ column_of_rows('grouped.in_time', 'occurred_at') }} as occurred_ats,
        {{ column_of_rows('grouped.in_time', 'split') }} as splits
    from grouped
)

select * from listed
order by customer_id
