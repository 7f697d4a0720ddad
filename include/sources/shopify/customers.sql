-- Orders know a buyer by e-mail address alone, so it makes the id here too; one without an address has the id of the export.
-- Names, addresses and telephone numbers stay in the export: nothing reads them.
select
    coalesce(customer_of_email(email), without_apostrophe(customer_id)) as customer_id,
    without_apostrophe(city) as city,
    without_apostrophe(province_code) as region,
    without_apostrophe(country_code) as country,
    accepts_marketing as consent_marketing,
    _file,
    _row
from customers
