select
    payments.order_id,
    payments.payment_sequential as payment_sequence,
    payments.payment_type as method,
    payments.payment_installments as installments,
    payments.payment_value as amount,
    payments._file,
    payments._row
from payments
