with source as (
    select * from {{ source('raw', 'customers') }}
    where {{ visible_at_night('registered_at') }}
),

renamed as (
    select
        customer_id,

        region,
        country,
        language,

        coalesce(consent_personalisation, true) as consent_personalisation,
        consent_marketing,

        registered_at
    from source
)

select * from renamed
