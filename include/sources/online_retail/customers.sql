-- A customer's country is that of the newest invoice.
with visits as (
    select
        whole_number(CustomerID) as customer_id,
        nullif(Country, 'Unspecified') as country,
        coalesce(try_strptime(InvoiceDate, '%m/%d/%Y %H:%M')::varchar, InvoiceDate) as invoiced_at
    from invoice_lines
    where CustomerID is not null
)

select customer_id, arg_max(country, (invoiced_at, country)) as country
from visits
group by customer_id
