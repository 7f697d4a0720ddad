with source as (
    select * from {{ source('raw', 'rules') }}
    where {{ visible_at_night() }}
),

renamed as (
    select
        rule_id,
        product_id,

        kind,
        {{ plain_path('category') }} as category,
        {{ plain_text('brand') }} as brand,
        segment,

        value,

        valid_from,
        valid_until
    from source
)

select * from renamed
