{{ config(materialized='view') }}

with active as (
    select * from {{ ref('stg_rules') }}
    where
        coalesce(valid_from <= {{ as_of() }}, true)
        and coalesce(valid_until > {{ as_of() }}, true)
        and coalesce(product_id, category, brand) is not null
        and (kind = 'block' or value is not null)
)

select * from active
