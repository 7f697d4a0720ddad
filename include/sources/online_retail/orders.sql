-- One order an invoice; its lines may differ by a minute, and the first counts. An invoice 'C...' takes goods back, one
-- 'A...' adjusts a debt, and one of negative quantities only corrects the stock: neither was bought by anybody.
select
    InvoiceNo as order_id,
    max(whole_number(CustomerID)) as customer_id,
    min(coalesce(try_strptime(InvoiceDate, '%m/%d/%Y %H:%M')::varchar, InvoiceDate)) as ordered_at,
    case
        when InvoiceNo like 'C%' then 'returned'
        when InvoiceNo like 'A%' or max(try_cast(Quantity as bigint)) < 0 then 'cancelled'
        else 'delivered'
    end as status,
    abs(sum(try_cast(Quantity as bigint) * try_cast(UnitPrice as decimal(18, 2)))) as total,
    'GBP' as currency,
    arg_min(_file, (_file, _row)) as _file,
    arg_min(_row, (_file, _row)) as _row
from invoice_lines
group by InvoiceNo
