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

        coalesce(
            {{ full_years_between('birth_date', as_of()) }},
            extract(year from {{ as_of() }}) - birth_year - 1,
            case when is_adult then 18 end
        ) as age,

        registered_at
    from source
)

select * from renamed
