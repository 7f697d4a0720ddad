with source as (
    select * from {{ source('raw', 'campaigns') }}
    where {{ visible_at_night() }}
),

renamed as (
    select
        campaign_id,
        product_id,

        {{ plain_text('name') }} as name,
        kind,
        {{ plain_path('category') }} as category,

        discount_percent,
        budget,

        starts_at,
        ends_at
    from source
)

select * from renamed
