"""Strings for the comparison of tokenizers: hand-written ones, and others derived from them."""

from ftfy.chardata import CHARMAP_ENCODINGS


def _split(lines: str) -> list[str]:
    """Splits text at line ends and broken bars, which occur in no string."""
    return [text for line in lines.split("\n") for text in line.split("¦")]


# A few words in many languages and scripts, most of them captions.
LANGUAGES = _split(
    """A man riding a bicycle down the street.¦THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG
Ein Mann fährt Fahrrad auf der Straße¦Un homme à vélo, près de l'église; ça va?¦Où est le garçon?
Un niño pequeño está comiendo una piña¦¿Dónde está? ¡Aquí!¦Uma criança não lê o coração
Un uomo sta scalando la montagna perché è lì¦Een vrouw zit op het strand met 's avonds ijs
Ένας άντρας κάνει ποδήλατο στους δρόμους¦ΟΔΥΣΣΕΥΣ ΚΑΙ ΤΗΛΕΜΑΧΟΣ¦Ὁ βίος βραχύς, ἡ δὲ τέχνη μακρή
Мужчина едет на велосипеде¦ЁЖИК В ТУМАНЕ¦Чоловік їде на велосипеді, ґанок
Čovjek vozi bicikl kroz šumu¦Човек кара колело¦Муж на веласіпедзе ў горадзе
Мајка и дете у парку, џеп љубав¦Тұман ішіндегі қала әлемі¦Mężczyzna jedzie na rowerze, żółć
Muž jede na kole, příliš žluťoučký kůň¦Muž na bicykli, ľúbezný kôň
Egy férfi biciklizik, árvíztűrő tükörfúrógép¦Un bărbat merge pe bicicletă în oraș, țară
Bir adam bisiklet sürüyor, İSTANBUL'da ışık¦Kişi DİYARBAKIR'dan IĞDIR'a gitti
Kişi velosiped sürür, şəhər¦Mies ajaa pyörällä, hyvää yötä¦En man cyklar på gatan, åäö ÅÄÖ
En mand på en cykel, rødgrød med fløde¦En mann sykler, blåbærsyltetøy
Maður á hjóli, Þórður og Æsa, það¦Mees sõidab jalgrattaga, õhtu¦Vīrietis brauc ar riteni, šķūņos
Vyras važiuoja dviračiu, ąčęėįšųūž¦Fear ag rothaíocht, cá bhfuil tú¦Dyn ar gefn beic, tŷ ŵyneb
Gizon bat bizikletan¦Un home en bicicleta, col·legi¦Burrë me biçikletë, ëndërr
رجل يركب دراجة في الشارع¦قطة صغيرة على السجادة، أليس كذلك؟¦السَّلَامُ عَلَيْكُمْ
مردی در حال دوچرخه‌سواری است¦ایک آدمی سائیکل چلا رہا ہے¦گربه‌ای روی فرش نشسته، پژوهش چگونه
ئادەم ۋېلىسىپىت مىنىۋاتىدۇ¦سړی بایسکل ځغلوي¦גבר רוכב על אופניים ברחוב¦שָׁלוֹם עֲלֵיכֶם
דער מענטש פֿאָרט¦ܫܠܡܐ ܥܠܡܐ¦ދިވެހި ރާއްޖެ¦ߒߞߏ ߛߓߍ¦एक आदमी साइकिल चला रहा है
बिल्ली कालीन पर बैठी है। क्या?¦एक माणूस सायकल चालवत आहे, ज्ञान¦मान्छे साइकल चलाउँदै
একজন মানুষ সাইকেল চালাচ্ছে¦এটা কী? বাংলা ড়ঢ়য়¦ਇੱਕ ਆਦਮੀ ਸਾਈਕਲ ਚਲਾ ਰਿਹਾ ਹੈ¦એક માણસ સાયકલ ચલાવે છે
ଜଣେ ଲୋକ ସାଇକେଲ ଚଲାଉଛନ୍ତି¦ஒரு மனிதன் மிதிவண்டி ஓட்டுகிறான்¦ఒక మనిషి సైకిల్ తొక్కుతున్నాడు
ಒಬ್ಬ ಮನುಷ್ಯ ಸೈಕಲ್ ಓಡಿಸುತ್ತಿದ್ದಾನೆ¦ഒരു മനുഷ്യൻ സൈക്കിൾ ഓടിക്കുന്നു
මිනිසෙක් බයිසිකලයක් පදිනවා, ශ්‍රී ලංකා¦ผู้ชายกำลังขี่จักรยานบนถนน¦ชายຂີ່ລົດຖີບ ພາສາລາວ
လူတစ်ယောက် စက်ဘီးစီးနေသည်¦បុរសម្នាក់ជិះកង់ នៅលើផ្លូវ¦བོད་སྐད་ བཀྲ་ཤིས་བདེ་ལེགས།¦ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ
一个男人在街上骑自行车¦一個男人在街上騎自行車，好嗎？¦男の人が自転車に乗っています。¦ネコがカーペットの上に座っている¦한 남자가 거리에서 자전거를 타고 있다
고양이가 카펫 위에 앉아 있습니다!¦ㄱㄴㄷ ㅏㅑㅓㅕ¦ㄅㄆㄇㄈ 注音符號¦〇一二三 々〆ヶ¦Một người đàn ông đang đi xe đạp, Việt Nam ước
Isang lalaki na nagbibisikleta¦Seorang pria naik sepeda¦Mwanamume anaendesha baiskeli
Ọkùnrin kan ń gun kẹ̀kẹ́¦Nwoke na-agba ịnyịnya ígwè¦Wani mutum yana hawan keke, ƙasa ɗan
Umuntu ugibela ibhayisikili¦ሰው ብስክሌት እየነዳ ነው።¦ኣብ ጎደና፣ ትግርኛ¦კაცი ველოსიპედით დადის¦ᲗᲑᲘᲚᲘᲡᲘ
Մարդը հեծանիվ է վարում, ԵՐԵՎԱՆ և¦ⵜⴰⵎⴰⵣⵉⵖⵜ ⵜⵓⵜⵍⴰⵢⵜ¦ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ꭰꭱ¦ᐃᓄᒃᑎᑐᑦ ᐊᖏᔪᖅ¦ᚠᚢᚦᚨᚱᚲ ᛫¦ᚁᚂᚃᚄ¦𐌰𐌱𐌲 𐌳𐌴
𐐀𐐁𐐂 𐐨𐐩 DESERET¦𞤀𞤁𞤂 𞤢𞤣𞤤¦𓀀𓀁𓂀 𓆣¦𒀀𒁀𒂍¦Ⲁⲃⲅ ϢϣϤϥ¦ⰀⰁⰂ ⰰⰱ¦𑄀𑄇𑄈¦ꦲꦏ꧀ꦱꦫ¦ᮞᮥᮔ᮪ᮓ¦ᬅᬓ᭄ᬱᬭ¦Ka ʻōlelo Hawaiʻi, Oʻahu
Te reo Māori, whānau¦Esperanto: eĥoŝanĝo ĉiuĵaŭde¦Lietuvių kalba Į̇ i̇́ J̇
ǅungla, Ǆ ǆ ǈ ǉ ǋ ǌ, ĲSSELMEER ĳ ŉ¦ƉƊƎƏƐƔƖƗ ǷƿǶ ȜȝȠ¦ɐɑɒɓ ʃʒʔ /ˈaɪ pʰiː eɪ/¦ªº µ ſ ﬅ K Å Ω"""
)

# Sequences with joiners, skin tones, variation selectors, tags and keycaps.
EMOJI = _split(
    """😀¦😂😂😂¦😀 😃 😄¦I ❤️ NY¦I ♥ you¦👍🏽¦👍🏻👍🏿¦👨‍👩‍👧‍👦¦👩🏾‍🚀 in space¦🏳️‍🌈 pride¦🏴‍☠️¦🏴󠁧󠁢󠁥󠁮󠁧󠁿¦🇩🇪🇫🇷
🇺🇸 flag¦1️⃣2️⃣#️⃣*️⃣¦☺☺️☺︎¦a😀b¦😀a1😀¦cat🐱dog🐶¦🐈‍⬛¦❤️‍🔥¦🧑🏼‍🤝‍🧑🏿¦🤷🏽‍♀️ idk¦™️ © ®️¦↗️ ⬆ ➡️¦🅰️🆎¦㊗️㊙¦🀄🃏
⌚⏰⏳¦🫠🫡🫶¦♾️♻️⚧¦😀!¦(😀)¦'😀's"""
)

# Contractions, code, addresses, quotes, ligatures, widths, specials, capitals, sigmas, long words.
PLAIN = _split(
    """a¦A¦ab¦the¦THE¦The.¦cat¦cats¦cat's¦cats'¦a photo of a cat¦a photo of a {label}.
an origami {}.¦itap of a dog.¦don't¦DON'T¦I'LL we'Ve you'RE he'D i'M it'S can'T¦'s¦'S¦''s¦'ss¦'sa
x'sy¦s's's¦'re're¦'ll'll¦'l'l¦'tis 'twas¦rock'n'roll¦o'clock¦y'all'd've¦'d'm¦' s¦'  's¦"'s"¦('s)¦1's
1's2¦'1¦don''t¦d'on't¦'t't't¦'veve¦'VE¦'Ve¦'vE¦'ſ¦it'ſ¦IT'ſ¦'ſs¦ſ¦ſtop¦<|ſtartoftext|>¦hello world
hello  world¦  hello¦hello  ¦hello, world!¦hello,world¦hello... world¦wait…what¦what?!¦!!!¦???¦...
. . .¦-¦--¦---¦—¦–¦a-b-c¦a_b_c¦__init__¦snake_case_name¦camelCaseName¦PascalCase¦SCREAMING_CASE
kebab-case¦path/to/file.txt¦C:\\Users\\me¦~/.bashrc¦1¦12¦123¦1234567890¦1,234.56¦1 000 000¦3.14159
-5¦+5¦1e-5¦0x1F¦1st 2nd 3rd¦50%¦$100¦€50¦£9.99¦¥1000¦#1¦#hashtag¦@user¦user@example.com
https://example.com/a?b=c&d=e#f¦http://www.example.com¦www.EXAMPLE.com/~user/¦ftp://x.y:21
mailto:a@b.c¦//cdn.x/y.js¦for (int i = 0; i < 10; i++) { a[i] += 1; }¦def f(x): return x ** 2
SELECT * FROM t WHERE a <> 'b';¦<html><body>&amp;</body></html>¦a<b¦a>b¦a<b && c>d¦a&b¦a && b¦a&&b
AT&T¦R&D¦Q&A¦&¦&&¦& &¦x & y¦fish&chips¦&;¦&#;¦&#x;¦&#xg;¦&a;¦&zzz;¦&amp¦&AMP¦&amp;¦&amp;amp;
&amp;amp;amp;¦a=b;c=d¦[1, 2, 3]¦{"key": "value"}¦(a)(b)¦$x_1^2$¦\\frac{1}{2}¦a|b||c¦^_^¦:-)¦;-)¦:D
<3¦</3¦(╯°□°)╯︵ ┻━┻¦¯\\_(ツ)_/¯¦ಠ_ಠ¦┌─┐│└┘¦█▓▒░¦“hello”¦‘hello’¦‛a‟¦„Hallo“¦‚a‘¦«bonjour»¦‹x›¦it’s
don’t¦I’LL¦they’re¦’s¦’S¦‘s¦ʼs¦Hawaiʼi¦`s¦´s¦′s¦″¦it＇s¦ŉ¦ŉs¦‹’›¦“‘a’”¦’’s¦it‛s¦‚s¦ﬁ¦ﬂ¦ﬀ¦ﬃ¦ﬄ¦ﬅ¦ﬆ
eﬃcient¦ﬂuﬃest¦ĲS¦ĳs¦Ĳ¦Ǆ¦ǅ¦ǆ¦Ǉ¦ǈ¦ǉ¦Ǌ¦ǋ¦ǌ¦Ǳ¦ǲ¦ǳ¦ﬓ¦ﬔ¦ﭏ¦ﷲ¦ﷺ¦№¦℡¦℻¦㏒¦㎏¦½¦¼¦⅓¦²¦³¦x²¦x₂¦Ⅷ¦ⅷ¦ↀ¦①¦⑳¦⒈¦❶¦㉈¦〡
𐅀¦𒐀¦Ｈｅｌｌｏ　Ｗｏｒｌｄ¦ＡＢＣ１２３¦！＂＃＄％＆＇（）¦＆ａｍｐ；¦＜ｂ＞¦&amp；¦＆amp;¦ﾊﾝｶｸ ｶﾀｶﾅ¦ｶﾞｷﾞﾊﾟ¦Ｕﾀｰﾝ¦｡｢｣､･¦ﾞﾟ¦ﾡﾤﾷￂￆ¦￠￡￢￣￤￥￦
￨￩￪￫￬￭￮¦｟｠¦ＩＴ＇Ｓ¦＇ｓ¦<|startoftext|>¦<|endoftext|>¦<|STARTOFTEXT|>¦<|ENDOFTEXT|>¦<|EndOfText|>
a<|endoftext|>b¦word<|startoftext|>¦<|endoftext|><|endoftext|>¦<|endoftext|> <|startoftext|>
<|endoftext|>'s¦<|end oftext|>¦<|endoftext<|endoftext|>¦<<|endoftext|>>¦.<|endoftext|>.¦<|endoftext>
<|endoftext |>¦<start_of_text>¦<end_of_text>¦<START_OF_TEXT>¦a<end_of_text>b¦&lt;|endoftext|&gt;
＜｜ｅｎｄｏｆｔｅｘｔ｜＞¦＜|startoftext|＞¦</w>¦a</w>¦a</w>b¦<w>¦Ġ¦Ġhello¦ĊĠ¦İ¦İstanbul¦İİ¦İ̇¦I¦ı¦ISPARTA¦iı Iİ¦ß
ẞ¦STRASSE¦STRAẞE¦Straße¦ŒUVRE¦Ÿ¦Ǆ ǅ¦ᾈ¦ᾼ¦ᾳ¦ΐ¦ᾺΙ¦Ω¦K¦Å¦ϴ¦ϴ θ¦ꙊꚀ¦ᲐᲑ¦ꭰᎠ¦Ⴀⴀ¦Ⓐⓐ¦ⅠⅡ¦Ａａ¦𝐀𝒜𝔸𝕬¦𝟘𝟙𝟚¦Σ¦ΑΣ¦ΑΣ ΑΣ
ΑΣ.¦ΑΣ.Β¦ΑΣ'¦ΑΣ'Β¦ΑΣ-Β¦ΑΣ1¦1Σ¦Σ1¦.Σ¦'Σ¦Α'Σ¦Α.Σ¦ΑΣΣ¦ΣΣ¦ΣΑΣ¦ς¦Σς¦ΑΣ:Β¦ΑΣ·Β¦ΑΣ’Β¦ΑΣ’¦aΣ¦aΣb¦文Σ¦Σ文¦Α文Σ
ΑΣ文¦ΑΣ文Β¦ⓐΣ¦ªΣ¦ʰΣ¦ΑʰΣ¦ΑΣʰ¦ΑΣʰΒ¦ΑΣ😀¦😀Σ¦Α😀Σ¦ΑΣ&amp;Β¦ΑΣ&#39;Β¦ΌΣΟΣ ΤΟΥΣ¦ΦΊΛΟΣ, ΦΊΛΟΣ!¦ΠΆΝΤΕΣ.¦"ΛΌΓΟΣ"
ΟΔΟΣ/ΟΔΟΣ¦ΑΣ_Β¦ΑΣ^Β¦ΑΣ`Β¦ΑΣ¨Β¦ΙΣ͂Α¦Α̈Σ̈¦aaaaaaaa¦AAAAAAAAAAAAAAAA¦hahahahahaha
zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz¦noooooooooooooo¦!!!!!!!!!!!!!!!!!!!!!!!!¦....................
========================¦------------------------¦~~~~~~~~¦########¦********¦abababababababab
lololololol¦xyxyxyxyxyxyxyxyx¦mmmmmmmm¦supercalifragilisticexpialidocious
antidisestablishmentarianism¦pneumonoultramicroscopicsilicovolcanoconiosis
qwertyuiopasdfghjklzxcvbnm
Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft
llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch¦qͅ¦bͅͅc¦!ͅ!¦ͅ¦1ͅ2¦ẋͅ¦ſ¦K¦Å¦ℌ𝔥¦ℵ¦ℹ¦⅍¦ⱭⱮ¦Ꞌꞌ
Ꭓ¦Ɐ¦Ⱥⱥ¦ȺȾ"""
)


def misread(text, wrong, right="utf-8"):
    """Text whose bytes are read in a wrong encoding; None if that cannot be."""
    try:
        return text.encode(right).decode(wrong)
    except UnicodeError:
        return None


def mojibake():
    """Sentences in encodings that are not theirs, once and twice, and with what is lost on the way."""
    curly = ["“Hello” — it’s 5 °C…", "naïve café à la carte", "l’été s’achève", "Ça coûte 5 £ ½ ³", "™ ® © • ‘x’"]
    for text in [*LANGUAGES, *EMOJI, *curly]:
        if text.isascii():
            continue
        for first in CHARMAP_ENCODINGS:
            once = misread(text, first)
            if once is None:
                continue
            yield once
            yield once.replace("\u00a0", " ")
            yield f"see {once}, ok?"
            yield f"{text} {once}"
            yield once.replace("\u0081", "\ufffd").replace("\u008d", "\ufffd").replace("\u009d", "\ufffd")
            yield "".join("?" if 0x80 <= ord(c) < 0xA0 else c for c in once)
            yield html_escaped(once)
            for second in CHARMAP_ENCODINGS:
                twice = misread(once, second)
                if twice is not None:
                    yield twice
                    yield twice.replace("\u00a0", " ")
        surrogates = text.encode("utf-16-be", "surrogatepass")
        cesu = "".join(
            chr(int.from_bytes(surrogates[i : i + 2], "big")) for i in range(0, len(surrogates), 2)
        ).encode("utf-8", "surrogatepass")
        for encoding in CHARMAP_ENCODINGS:
            try:
                yield cesu.decode(encoding)
            except UnicodeError:
                pass
        for right in CHARMAP_ENCODINGS:
            for wrong in CHARMAP_ENCODINGS:
                other = misread(text, wrong, right)
                if other is not None and right != wrong:
                    yield other


def html_escaped(text):
    return "".join(f"&#{ord(c)};" if ord(c) > 0x7F else c for c in text)
