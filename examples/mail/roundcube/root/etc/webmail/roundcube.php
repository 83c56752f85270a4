<?php
// Roundcube's configuration. The mail server's address comes from the link's
// variables; webmail-start has checked that they are there.

function webmail_linked($scheme, $port)
{
    $host = getenv("MAIL_PORT_{$port}_TCP_ADDR");
    $number = getenv("MAIL_PORT_{$port}_TCP_PORT") ?: $port;
    return $host ? "$scheme://$host:$number" : null;
}

// The mail server's certificate is made for its name on the internet, not for
// the name of the link, and the way there is the project's own network.
$webmail_tls = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];

$config = [];
$config['product_name'] = 'Webmail';
$config['skin'] = 'elastic';
$config['support_url'] = '';
$config['display_product_info'] = 0;
$config['enable_installer'] = false;
$config['enable_spellcheck'] = false;

$config['db_dsnw'] = 'sqlite:////vol/rw/db/roundcube.sqlite?mode=0640';
$config['des_key'] = trim(file_get_contents('/vol/rw/db/des_key'));
$config['cipher_method'] = 'AES-256-CBC';
$config['temp_dir'] = '/tmp/webmail/';
$config['log_driver'] = 'stdout';
$config['log_logins'] = true;
$config['mime_types'] = '/etc/mime.types';
$config['max_message_size'] = '35M';
$config['session_lifetime'] = 60;
$config['use_https'] = true;

$config['imap_host'] = webmail_linked('tls', 143) ?: webmail_linked('ssl', 993);
$config['imap_conn_options'] = $webmail_tls;
$config['smtp_host'] = webmail_linked('tls', 587) ?: webmail_linked('ssl', 465);
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['smtp_conn_options'] = $webmail_tls;
$config['drafts_mbox'] = 'Drafts';
$config['sent_mbox'] = 'Sent';
$config['junk_mbox'] = 'Junk';
$config['trash_mbox'] = 'Trash';
$config['archive_mbox'] = 'Archive';

$config['plugins'] = ['archive', 'markasjunk', 'zipdownload'];
if (webmail_linked('tls', 4190)) {
    $config['plugins'][] = 'managesieve';
    $config['managesieve_host'] = webmail_linked('tls', 4190);
    $config['managesieve_conn_options'] = $webmail_tls;
    $config['managesieve_default'] = '';
    $config['managesieve_vacation'] = 1;
}
