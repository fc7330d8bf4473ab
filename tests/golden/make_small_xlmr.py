#!/usr/bin/env python3
"""Makes tests/golden/tokenizers/small-xlmr: an XLM-R style tokenizer small enough to commit.

A sentencepiece Unigram with sentencepiece's own nmt_nfkc rules (the same charsmap as XLM-R's),
trained on examples/docs and on the sentences below, then laid out as XLM-R's tokenizer.json is:
<s>, <pad>, </s>, <unk>, the pieces, <mask>.

    python tests/golden/make_small_xlmr.py       needs sentencepiece (its protobuf module) only
"""
import base64
import hashlib
import importlib.metadata
import io
import json
import pathlib

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "tokenizers" / "small-xlmr"
DOCS = HERE.parent.parent / "examples" / "docs"
VOCAB = 4000

SENTENCES = """
Ein Suchsystem findet zuerst viele Kandidaten und ordnet sie danach mit einem genaueren Modell neu.
Die Übersetzung eines kurzen Satzes gelingt leichter als die eines langen Absatzes.
Der Zug fährt um halb acht vom Bahnhof ab, falls das Wetter es zulässt.
Große Sprachmodelle benötigen viel Speicher, deshalb werden ihre Gewichte oft quantisiert.
Kinder spielten im Garten, während die Großeltern auf der Straße mit den Nachbarn sprachen.
Welche Schlüssel passen zu welchen Türen, und wer hat sie zuletzt benutzt?
El sistema busca primero muchos candidatos y después los ordena con un modelo más preciso.
La niña preguntó cuándo llegaría el próximo autobús a la estación central.
Los modelos pequeños responden rápido, pero los grandes suelen acertar más.
Mañana compraremos pan, queso y aceitunas en el mercado de la plaza.
¿Quién escribió la carta que encontramos detrás del armario viejo?
La memoria del ordenador se llenó porque el índice crecía sin parar.
Le moteur trouve d'abord beaucoup de passages, puis il les classe à nouveau avec soin.
L'été dernier, nous avons traversé la forêt jusqu'à l'ancien château près du fleuve.
Où se trouve la bibliothèque où l'on garde les cartes du dix-huitième siècle ?
Une mémoire plus grande ne rend pas toujours le calcul plus rapide.
O sistema procura primeiro muitos trechos e depois ordena-os com mais atenção.
A avó contou às crianças uma história sobre o coração de um navio antigo.
Il treno è partito in ritardo perché la linea era bloccata dalla neve.
Il modello confronta la domanda con ogni paragrafo e assegna un punteggio.
Het zoeksysteem vindt eerst veel kandidaten en sorteert ze daarna nauwkeuriger.
De fiets staat naast de brug, vlak bij het oude raadhuis.
Wyszukiwarka najpierw znajduje wielu kandydatów, a potem układa ich dokładniej.
Dziecko zapytało, dlaczego księżyc świeci tylko w nocy.
Arama motoru önce birçok aday bulur, sonra onları daha dikkatli sıralar.
Çocuklar bahçede oynarken yağmur yağmaya başladı.
Поисковая система сначала находит много кандидатов, а затем упорядочивает их точнее.
Вчера вечером мы долго говорили о книгах, музыке и старых фотографиях.
Почему память устройства заполнилась так быстро, никто не смог объяснить.
Большая модель отвечает медленнее, зато ошибается реже маленькой.
Η μηχανή αναζήτησης βρίσκει πρώτα πολλά κείμενα και ύστερα τα ταξινομεί.
Το παιδί ρώτησε γιατί η θάλασσα είναι αλμυρή και το ποτάμι όχι.
محرك البحث يجد أولا عددا كبيرا من النصوص ثم يرتبها من جديد بدقة أكبر.
سأل الطفل لماذا يضيء القمر في الليل فقط، فابتسمت الجدة ولم تجب.
تحتاج النماذج الكبيرة إلى ذاكرة واسعة وإلى وقت أطول في الحساب.
وصل القطار متأخرا إلى المحطة بسبب الثلوج التي غطت الطريق.
מנוע החיפוש מוצא תחילה קטעים רבים ואחר כך מסדר אותם מחדש.
הילדה שאלה מתי תגיע הרכבת הבאה לתחנה המרכזית.
搜索系统先找出许多候选段落,然后用更精确的模型重新排序。
大型语言模型需要很多内存,因此人们常常压缩它们的权重。
孩子问为什么月亮只在晚上发光,奶奶笑了笑没有回答。
昨天的火车因为大雪晚到了两个小时。
这本书讲述了一座古老城市和一条大河的故事。
検索システムはまず多くの候補を見つけ、その後でより正確に並べ替えます。
子どもたちが庭で遊んでいる間に、雨が降り始めました。
大きなモデルは答えが遅いですが、間違いは少なくなります。
駅までの道を教えてくださいと旅人が尋ねました。
검색 시스템은 먼저 많은 후보를 찾고 그다음에 더 정확하게 순서를 정합니다.
아이들이 마당에서 노는 동안 비가 내리기 시작했습니다.
큰 모델은 대답이 느리지만 실수가 적습니다.
खोज प्रणाली पहले कई अंश ढूँढती है और फिर उन्हें ध्यान से क्रम में रखती है।
बच्चे ने पूछा कि चाँद केवल रात में ही क्यों चमकता है।
बड़े मॉडल को अधिक स्मृति और अधिक समय चाहिए।
ระบบค้นหาจะหาข้อความจำนวนมากก่อน แล้วจึงจัดลำดับใหม่อย่างละเอียด
เด็ก ๆ เล่นอยู่ในสวนเมื่อฝนเริ่มตก
Hệ thống tìm kiếm trước hết tìm nhiều đoạn văn rồi sắp xếp lại cẩn thận.
Trẻ em hỏi vì sao mặt trăng chỉ sáng vào ban đêm.
""".strip().split("\n")


def training_text():
    lines = list(SENTENCES) * 4
    for path in sorted(DOCS.glob("*.md")):
        lines += [l.strip() for l in path.read_text(encoding="utf-8").split("\n") if l.strip()]
    return lines


def train(lines):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram",
        vocab_size=VOCAB - 2, normalization_rule_name="nmt_nfkc", character_coverage=1.0,
        num_threads=1, hard_vocab_limit=False, max_sentence_length=1 << 16,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto


def special(token, id_, lstrip=False):
    return {"id": id_, "content": token, "single_word": False, "lstrip": lstrip, "rstrip": False,
            "normalized": False, "special": True}


def layout(proto):
    pieces = [[p.piece, p.score] for p in proto.pieces[3:]]
    vocab = [[t, 0.0] for t in ("<s>", "<pad>", "</s>", "<unk>")] + pieces + [["<mask>", 0.0]]
    mask = len(vocab) - 1
    s, e = ({"SpecialToken": {"id": t, "type_id": 0}} for t in ("<s>", "</s>"))
    a, b = ({"Sequence": {"id": t, "type_id": 0}} for t in "AB")
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always",
                 "split": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [special(t, i) for i, (t, _) in enumerate(vocab[:4])]
        + [special("<mask>", mask, lstrip=True)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap":
             base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing", "single": [s, a, e], "pair": [s, a, e, e, b, e],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                               "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}},
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False},
    }


def main():
    lines = training_text()
    doc = layout(train(lines))
    text = json.dumps(doc, ensure_ascii=False, separators=(",", ":"))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "tokenizer.json").write_text(text, encoding="utf-8")
    manifest = {
        "generator": "tests/golden/make_small_xlmr.py",
        "sentencepiece": importlib.metadata.version("sentencepiece"),
        "vocabulary": len(doc["model"]["vocab"]),
        "training_text_sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "tokenizer_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    (OUT / "MANIFEST.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(manifest)


if __name__ == "__main__":
    main()
