with source as (
    select
        *,
        {{ full_years_between('birth_date', as_of()) }} as age_by_date,
        extract(year from {{ as_of() }}) - birth_year - 1 as age_by_year
    from {{ source('raw', 'customers') }}
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

        -- A form's default (0001-01-01, 1900-01-01) is nobody's birthday, nor is today's: nobody is shown wine for it.
        coalesce(
            {{ possible_age('age_by_date') }},
            {{ possible_age('age_by_year') }},
            case when is_adult then 18 end
        ) as age,

        registered_at
    from source
)

select * from renamed
