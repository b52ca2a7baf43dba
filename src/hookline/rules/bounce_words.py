"""The words by which mail servers say why they refuse: regular expressions, in the order in which they are tried.

They were written from what servers say: the replies that Gmail, Microsoft, Yahoo, Apple, Orange, Mail.ru,
Tencent, NetEase, Comcast, Cox and Mimecast document, and the sentences in Postfix, Exim, qmail, Sendmail,
Courier, Domino and GroupWise. They are matched against lower-case text with single spaces, from which
addresses, links and names of hosts are gone (``rules.bounces`` sees to that).
"""

from __future__ import annotations

import re
from typing import Literal

Reason = Literal[
    "user_unknown", "host_unknown", "mailbox_full", "mailbox_inactive", "message_too_large", "blocked",
    "policy", "content", "spam", "auth_failure", "rate_limited", "greylisted", "network", "protocol",
    "expired", "system", "other",
]  # fmt: skip
Table = tuple[tuple[Reason, re.Pattern[str]], ...]


def _table(*rows: tuple[Reason, str | tuple[str, ...]]) -> Table:
    return tuple(
        (reason, re.compile(words if isinstance(words, str) else "|".join(words))) for reason, words in rows
    )


# Lists of senders of ill repute are often known by their links alone: these are looked for in the whole text.
LISTS = re.compile(
    r"spamhaus|spamcop|barracudacentral|sorbs\.net|uceprotect|dnsbl|\brbl\b|blackhole|senderscore|abuseat"
    r"|spamrats|invaluement|mailspike|surbl|uribl|csi\.cloudmark|#bl0|ipbl[01]|ipcheck\.proofpoint|csi\.mimecast|cxbl"
)
# Japanese mobile carriers say "unknown user" after the content of what their customers' settings keep out.
KEPT_OUT = re.compile(
    r"(?=.*(?:docomo\.ne\.jp|ezweb\.ne\.jp|\bau\.com|softbank\.(?:ne\.)?jp|vodafone\.ne\.jp)).*end of data"
)

_WHO = r"(?:user|recipient|mailbox|mail ?drop|address|account|addressee|alias|destination|customer|local[ -]part|person|login)"

# fmt: off
CLEAR: Table = _table(
    # said of what is no fault of the address, although it sounds like one
    ("greylisted", r"gr[ae]y[ -]?list|gr[ae]ylist"),
    ("network", r"failed to get ips from ptr"),  # SendGrid, of a domain's broken DNS
    ("policy", (
        r"sender verify failed|verify sender|verification failed for|call(?:back|out) (?:setup|verification)",
        r"unknown sender|sender (?:address|domain|verif|unknown|rejected|denied|not|is(?! (?:unauthenticated|not authenticated)))|(?:domain|address) of sender",
        r"from (?:address|domain) .{0,40}(?:not exist|unresolvable|invalid)|null sender|mail from .{0,20}(?:invalid|denied)",
        r"resolver rst(?! recipsize| mailboxdisabled)",
        r"your (?:email|e-mail|mail) (?:address|account) (?:is|has been) (?:blocked|rejected)",
    )),
    ("rate_limited", r"mailbox unavailable or access denied"),  # Tencent, of a mailbox that gets too much at once
    ("mailbox_full", (
        r"mailbox is full|too many (?:messages|mails|emails) (?:on|in) (?:the|your|his|their|this|server|mailbox)",
        r"zu ?viele mails|(?:mailbox|inbox|mail ?drop|folder) (?:has |is )?exceed|(?:mailbox|folder|inbox) (?:message )?count|messages? (?:count|number) limit",
    )),
    ("expired", (
        r"(?:in|on) (?:the |its )?queue too long|too long in (?:the )?queue|could not be delivered for \d+"
        r"|unreachable for too long|message (?:has )?expired|delivery expired|retry timeout exceeded"
        r"|retry time(?:out)? not reached|failing for a long time|undelivered for|message too old"
        r"|delivery time[ -]?(?:out|expired)|exceeded (?:the )?maximum (?:time|queue)|queue (?:life)?time",
    )),
    ("rate_limited", (
        r"rate[ -]?limit|frequency limit|throttl|at a rate|unusual rate|too (?:fast|frequent|quickly)|slow down",
        r"too many (?:messages|connections|mails|emails|e-mails|requests|concurrent|simultaneous|sessions|recipients"
        r"|spams|unknown|invalid|bad|errors|failures|hard)|unexpected volume|(?:excessive|exceeded).{0,20}connections",
        r"(?:sending|hourly|daily|send|submission) ?(?:message |mail |email )?(?:limit|quota)|(?:messages|emails|connections) per",
        r"exceeded.{0,40}(?:per (?:hour|day|minute)|allowed rate)|max(?:imum)? (?:number of )?(?:emails|connections)",
        r"relay limit exceeded|trop de (?:connexions|messages|mails)|submissionquota|thread limit exceeded",
        r"\brp:(?:cel|rcl|ccl|dcl|mcq|qrc|rcp)\b|temporarily (?:deferred|rate)|deferred due to (?:unexpected|user complaints)",
    )),
    ("auth_failure", (
        r"\bspf\b|\bdkim\b|\bdmarc\b|unauthenticated (?:e-?mail|mail|message)|authentication (?:checks?|failed|level|information)",
        r"(?:mail|message|sender|e-?mail) (?:is )?not authenticated|failed to authenticate|sender id|senderid",
        r"must authenticate|client was not authenticated|authenticate(?:d)? (?:first|before)|authentication is required",
        r"smtp auth|(?<!auth)authentication required(?! for group)",
    )),
    ("message_too_large", (
        r"(?:message|mail|size|header|e-?mail)s?\b.{0,40}(?:too (?:large|big|long)|exceed\w* .{0,30}(?:size|limit|length|maximum)"
        r"|size limit)",
        r"too (?:large|big)|too much mail data|larger than|(?:maximum|max) (?:message|mail|allowed) (?:size|length)|size (?:limit )?exceed|recipsizelimit",
        r"message length exceeds|exceeds? (?:the )?(?:fixed |maximum |permitted )?(?:message |mail )?size|nachricht (?:ist )?zu gro"
        r"|message trop (?:volumineux|gros)|mensaje demasiado grande|messaggio troppo grande|超过.{0,6}大小|邮件过大",
    )),
    ("mailbox_full", (
        r"quota|(?:mailbox|inbox|mail ?box|mail ?drop|account|folder|maildir|mailfolder|box)(?:'s)?(?: \w+){0,4} (?:is )?(?:full|over\b|overflow)",
        r"(?:mailbox|account|user) (?:has )?exceed|mailbox size limit|over ?quota|overquota|mailboxfull|full mailbox",
        r"(?:user|mailbox|account|recipient)(?:'s)?(?: \w+){0,4} (?:storage|disk|space)|storage(?: \w+){0,3} exceed|storage full|out of storage",
        r"(?:exceed|exhaust)\w* (?:\w+ ){0,4}(?:storage|space)|(?:no|not enough|insufficient|out of) (?:mailbox |disk |storage )?(?:space|room)"
        r"(?! on (?:the )?(?:server|device))|allocated (?:space|storage)|over (?:its|the|his|their) (?:limit|allotted|allowed)",
        r"postfach.{0,30}voll|speichervolumen|speicherplatz|bo[iî]te .{0,40}pleine|quota d[ée]pass|casella .{0,20}piena"
        r"|buz[oó]n .{0,20}lleno|caixa .{0,20}cheia|skrzynk\w .{0,30}pe[łl]n|postvak .{0,10}vol|postkasse\w* er fuld|inkorg\w* är full",
        r"ящик.{0,20}переполнен|メールボックス.{0,20}(?:いっぱい|満杯|超)|容量.{0,10}(?:超|不足)|空间不足|(?:收件箱|邮箱).{0,6}满|용량.{0,6}초과",
    )),
    ("spam", r"message is likely unsolicited"),  # Gmail, which goes on to say that it "has been blocked"
    ("blocked", (
        r"black[ -]?list|block[ -]?list|deny ?list|block(?:ed)? list|reputation|\bbanned|blocked? (?:by|using|due|for|from|at|in|as|because(?! (?:of )?(?:its|the) (?:content|attachment)))",
        r"(?<!not )(?<!n't )listed (?:at|by|in|on)\b|poor (?:score|sender)|\bbl0\d+|\brl0\d+|suppression list|suppressed sending",
        r"\b(?:ip|ips|host|client|network|sender|domain|server|connection)\b.{0,40}(?:blocked|(?<!not )(?<!n't )\blisted|blacklisted|banned)",
        r"\b(?:ip|host|client|server) (?:address )?.{0,30}(?:is |was |has been )?(?:rejected|refused|denied|not allowed)",
        r"(?:has|have) been (?:temporarily |permanently )?(?:blocked|blacklisted)|(?:your|the) (?:ip|server|network|isp) (?:you|is|has|was|address)|your (?:ip|network|isp)\b|dynamic (?:ip|address|host)|dul\b",
        r"a problem occurred. \(ask your postmaster|permanently deferred|service refus|too many spam|(?<![\w-])aup#|\bhl:|\bmi:spb",
        r"refused.{0,30}(?:your|this) (?:ip|host|server)|open ?relay|open proxy|access (?:from|to) .{0,30}(?:ip|host).{0,20}(?:denied|blocked)",
    )),
    ("spam", (
        r"\b(?:anti-?)?spam|\bjunk\b|unsolicited|\bbulk (?:e-?)?mail|\bdt:s[pu]m|looks like (?:uce|ube)|\bu[cb]e\b|spammy|mass mail",
        r"courrier ind[ée]sirable|pourriel|спам|迷惑メール|垃圾邮件|스팸",
    )),
    ("content", (
        r"virus|its content|malware|phish|infected|malicious|attachment|suspicious|(?:message|mail|e-?mail) content|trojan|executable|dangerous",
        r"content.{0,20}(?:reject|block|not accept|denied|polic|filter)|(?:contains|containing) .{0,40}(?:url|link|header|character)",
        r"a url in|prohibited (?:content|file)|not rfc ?\d* compliant|rfc ?[2-5]?822|missing .{0,20}header|multiple .{0,20}headers"
        r"|header (?:is )?(?:missing|invalid)|bare (?:cr|lf)|improper use of 8-bit|mail rejete",
    )),
    ("policy", (
        r"relay(?:ing)?(?: \w+){0,3} (?:denied|not|prohibited|forbidden|rejected|disallowed|refused)|(?:unable|not permitted|not allowed|cannot|refuse) to relay"
        r"|cannot relay|(?:not|n't|no) relay|relay access|denies relay|open relay|relaying|rcpthosts|allowed rcpt",
        r"(?:return|reverse)[ -]path|\bhelo\b|\behlo\b|\bptr\b|reverse[ -]dns|reverse (?:hostname|lookup)|\brdns\b|find your (?:reverse )?hostname",
        r"notauthorized|(?:group|list|distribution).{0,40}(?:only|restrict|authenticat|permission|moderat)|restricted",
        r"(?:permission|authori[sz]ed|allowed|permitted|able) to (?:send|post|mail|deliver|e-?mail)|only accepts|does not accept (?:mail|messages|email) from",
        r"(?:rejected|refused|blocked) by (?:the )?(?:recipient|user|owner|addressee|his|her|policy|header)|by header based|not accepting (?:mail|messages) from",
        r"local policy|policy (?:violation|restriction|reason)|due to (?:\w+ )?polic|security polic|administrative prohibition|site polic"
        r"|against (?:our|the) polic|reject due to|security reasons|tls (?:is )?required|starttls (?:is )?required|must issue a starttls",
    )),
    ("host_unknown", (
        r"(?:host|domain|server)(?: \w+){0,4} (?:unknown|not found|not exist|doesn't exist|invalid|lookup fail\w*|could not be found|nonexistent)",
        r"(?:unknown|no such|non-?existe?nt?|invalid|bad|illegal) (?!remote system)(?:\w+ )?(?:host|domain|system)|nxdomain|null ?mx|nodename nor servname",
        r"name or service not known|does(?: not|n't) (?:accept|receive) (?:any )?(?:e-?)?mail(?! from)|no (?:mx|mail exchanger|dns|address record|smtp service)",
        r"(?:find|found) (?:any |a )?(?:host|mail exchanger|domain)|unrouteable mail domain|mx records? (?:point|indicat)\w* (?:to )?no|non-existent hosts|indicated no smtp",
        r"dns (?:domain|hard error|name)|name server: .{0,60}host not found|name service error .{0,80}host not found(?!, try)|no (?:such )?domain|domain (?:is )?expired"
        r"|unable to (?:look ?up|resolve|find) (?:host|domain|mx)|domain(?:e|ain)? inexist|域名不存在|ドメイン.{0,10}(?:存在し|見つかり)ませ",
    )),
    ("system", r"points to local ?host|loops? back to (?:me|myself)|hop count exceeded|too many hops"),
    ("network", r"delivery temporarily suspended|host lookup did not complete|lost connection|connection (?:timed out|refused|reset|died|dropped)|timed out while|no route to host"),
    ("mailbox_inactive", (
        r"inactive|deactivated|\bdisabled|accountdisabled|suspended|discontinued|dormant|not (?:currently )?active|no longer active|\blocked|\bfrozen|hangup",
        r"(?:account|mailbox|user|address) (?:has been |was |is )?(?:closed|cancell?ed|terminated|archived|expired|unsubscribed|blocked|on hold|retired)",
        r"(?:archived|expired|closed) (?:recipient|account|mailbox)|out of (?:service|business)|on vacation|temporarily (?:unavailable|disabled) (?:user|mailbox)",
        r"deaktiviert|gesperrt|d[ée]sactiv|suspendu|archiv[ée]e|disattivat|desactivad|desativad|suspendid|zablokowan|nieaktywn|отключ|заблокирован|停用|冻结|休止|無効",
    )),
    ("user_unknown", (
        rf"{_WHO}s?\b.{{0,60}}(?:unknown|unavailable|not (?:been )?(?:found|exist|known|valid|recogni[sz]ed|a known|local|listed|here|correct|available|a valid|in (?:the|our|my))"
        r"|n't (?:exist|found|known|have)|no longer|invalid|incorrect|nonexist|non-exist|does not have|cannot be found|could not be found|couldn't be found|was not found)",
        rf"(?:unknown|no such|not such|invalid|non-?existe?nt?|undeliverable|unrouteable|unroutable|illegal|bad|wrong|missing|unavailable|unrecogni[sz]ed) (?:e-?mail |mail |local |or \w+ |destination |virtual |email account |rcpt |final )*(?:{_WHO}|part|name|rcpt)",
        rf"no {_WHO}\b|no (?:one|body) (?:here|by|with)|(?:not|n't) (?:a |an |our |my |any )?(?:known |valid |local |existing )?(?:{_WHO})\b",
        r"doesn't have an? .{0,30}account|does not have an? .{0,30}account|recipient address(?:es)? rejected ?: access denied|who are you looking for",
        r"recipient address rejected|address rejected|rcpt (?:is )?(?:invalid|unknown)|recipient (?:rejected|not accepted|verify failed|verification|nonexist)",
        r"no longer (?:accepts?|on (?:this|the) server|available|in use|valid|employed|with|works?|exists?|at this|a valid)|has moved|address changed|moved to a new",
        r"recipnotfound|recipientnotfound|adr (?:ex)?recip|user not found|mailbox not found|not listed in|not in (?:the )?(?:directory|address book)|name & address book|domino directory",
        r"bad address|bad destination|malformed (?:recipient|address)|(?:address|recipient) syntax|cannot (?:find|locate) (?:your )?(?:the )?recipient|does not exist|doesn't exist|didn't exist|not exists?\b",
        r"benutzer.{0,30}(?:unbekannt|nicht|existiert)|(?:unbekannter?|ungültiger?) (?:benutzer|empf|adresse)|(?:empf[aä]e?nger|adresse|postfach)\w*.{0,40}(?:unbekannt|nicht gefunden|existiert nicht|ung[uü]e?ltig|nicht bekannt)",
        r"(?:destinataire|utilisateur|adresse|compte|bo[iî]te)\w*.{0,40}(?:inconnu|invalide|introuvable|inexistant|n'existe pas|pas trouv)|utilisateur inconnu",
        r"(?:destinatario|utente|indirizzo|casella|account)\w*.{0,40}(?:sconosciut|inesistent|errat|non (?:trovat|esist|valid))|destin\. sconosciuto",
        r"(?:destinatario|usuario|direcci[oó]n|buz[oó]n|cuenta)\w*.{0,40}(?:desconocid|inexistente|no (?:existe|v[aá]lid|encontrad|se ha encontrado)|inv[aá]lid)",
        r"(?:destinat[aá]rio|usu[aá]rio|endere[cç]o|caixa|conta)\w*.{0,40}(?:desconhecid|inexistente|n[aã]o (?:existe|encontrad|localizad)|inv[aá]lid)",
        r"nie istnieje|nie ma takiego|nieznany|(?:gebruiker|adres|ontvanger)\w*.{0,30}(?:onbekend|bestaat niet|niet gevonden)|ok[aä]nd (?:mottagare|anv)|ukendt (?:bruger|modtager)|hittades inte",
        r"(?:пользовател|адрес|ящик|получател)\w*.{0,30}(?:не (?:найден|существует)|неизвест)|нет такого|宛先不明|(?:ユーザ|アドレス|宛先|受信者|メールボックス).{0,20}(?:見つかりませ|存在しま|不明)|存在しな"
        r"|(?:用户|用戶|收件人|邮箱|郵箱|地址|帐号|账号).{0,8}(?:不存在|无效|無效|未找到)|找不到|无此用户|존재하지 않|찾을 수 없",
    )),
)
# These leave no doubt, even beside a code for policy: Yandex says "5.7.1 No such user", others likewise.
DEAD_FOR_SURE = re.compile(
    r"no mailbox here|no such (?:user|recipient|mailbox|address|account)|(?:user|recipient|account|mailbox|address) (?:is |was )?(?:unknown\b(?! to)|not found\b(?! in)"
    r"|(?:does|do|did)(?: not|n't) exist)|unknown (?:user|recipient)|recipnotfound|recipientnotfound|doesn't have an? .{0,30}account"
    r"|no longer (?:exists|available|valid)|invalid (?:recipient|mailbox)|not our customer"
)
VAGUE: Table = _table(
    ("expired", r"expired|retry time|time limit exceeded"),
    ("policy", r"polic|not (?:permitted|allowed|authori[sz]ed)|access denied|prohibited|administrativ|reject|refus|denied|declin|forbidden"),
    ("network", r"timed? ?out|unreachable|no route|connection (?:closed|lost|problem|error)|connect to|establish an smtp|temporary (?:lookup|resolution)"
        r"|name server|name service|\btls\b|\bssl\b|handshake|certificate|\bdns\b|cname lookup|socket error|cannot connect|could not connect"),
    ("system", r"insufficient|disk|out of memory|(?:local|internal|server|system|configuration|config) (?:\w+ )?error|system (?:busy|problem|not|resources)"
        r"|(?:server|resources?) (?:is )?busy|unavailable|try again|try later|\bloop|too many hops|hop count|command died|can't create|cannot (?:open|update|create|append)"
        r"|i/o error|read-only|permission denied|\bunable to lock|temporar"),
    ("protocol", r"syntax|sequence|command|unrecogni[sz]ed|smtputf8|line (?:is )?too long|protocol|not implemented"),
)
# fmt: on
