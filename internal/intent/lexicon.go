package intent

import (
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/spelling"
)

// class is a word's role in a message.
type class int

const (
	unknown  class = iota
	filler         // irrelevant to the request: greetings, pronouns, articles, politeness
	about          // a preposition that leads to a topic: of, for, عن
	at             // a preposition of place or origin: the next word is a place, not a wish
	quantity       // a number

	// Topics of requests.
	menuNoun
	listNoun // a list; the words around it say of what
	priceNoun
	foodNoun
	orderVerb
	orderNoun
	branchNoun
	placeNoun // location, address

	// Words that make a topic a request.
	wish     // want, send, can I
	where    // asks for a place
	whereYou // asks where the restaurant is
	have     // do you have, is there
	what     // asks for things
	which    // which, how many
	how      // asks how to do something
	howMuch  // asks for a price
	nearest  // closest
	be       // is, are

	you    // the restaurant
	mine   // belongs to the customer
	not    // negation
	vocat  // يا: a name follows
	clause // joins two clauses: but
	aside  // a time or a number, in a report or as a detail of a request
	matter // a complaint, praise, an order's state, the past: the message is a report
)

// lexicon has the words of each class as people write them. fold makes spellings equal, and analyse removes Arabic prefixes
// and suffixes. The words of a phrase are joined by underscores.
var lexicon = map[class]string{
	filler: `
		ولا_لا ام_لا او_لا فكره الاقي القي اوصل اوصلكم اوصلك اجيكم نجيكم ready idea ال لو لاهنت لاهنتم هنت هنتوا طال عمرك عمركم تكفي تكفون ياليت يا_ليت لو_تكرمتي سمحتي سمحتو لوسمحتي رابط لينك نسخه ملف عدد بالضبط بالزبط بالظبط القريبه القريبين link copy kind kinds type exactly guide
		السلام سلام عليكم وعليكم عليك ورحمه رحمه الله لله وبركاته بركاته صباح مساء الخير النور خير الورد مرحبا مرحبتين هلا اهلا اهلين وسهلا حياك حياكم
		هاي الو الوو هاللو يسعد يسعدك اسعد يعطيك يعطيكم العافيه عافيه تحيه طيبه كيف_حالك كيف_حالكم كيف_الحال شلونكم شلونك كيفك كيفكم ازيك ازيكم اخبارك
		شكرا مشكور مشكورين مشكوره تسلم تسلمون تسلمو يسلمو جزاك جزاكم خيرا فضلك فضلكم من_فضلك من_فضلكم لو_سمحت لو_سمحتم لو_سمحتو لو_سمحتوا لو_تكرمت
		لو_تكرمتم لو_تكرمتوا لوسمحت لوسمحتوا لوسمحتم سمحت سمحتوا تكرما فضلا رجاء رجاءا الرجاء بالله بليز بلييز بليييز برضو برضه كمان ايضا بعد
		انا انت انتم انتو انتوا انتي احنا نحن هو هي هم لي لنا لك لكم لكو لينا ليا معي معك معكم معاكم الي عليه عليها منه منها فيها
		هل يعني اخوي اخي اختي خوي حبيبي حبيبتي عزيزي عزيزتي الغالي استاذ دكتور ابو ام مدام باشا معلم ريس الحلو الغاليين
		اللي الي الذي التي و او الان الحين هسه هلق دلوقتي حاليا اليوم الليله كامل كامله كاملا الجديد جديد جديده الجديده الكامل الكامله حق حقكم حقتكم حقك حقت
		تبع تبعكم تبعكن تبعك بتاع بتاعكم بتاعكو بتاعتكم بتاعك خاص الخاص الخاصه بكم بكل كل جميع كلها المتوفر المتوفره طيب اوكي اوكيه تمام نعم اي_نعم ايوه ايوا ان ان_شاء شاء
		قريب القريب قريبه عندي اون لاين اونلاين بي دي اف صوره صور عشان علشان مشان الله_يعافيك الله_يخليك ضروري بسرعه سريع
		hi hello hey hii dear sir madam mam maam guys team there_hi good morning evening afternoon night day salam salaam assalam assalamu alaikum aleikum alaykum marhaba ya
		please pls plz plss kindly thanks thank_you thx ok okay yes yeah yep sure
		i me we us it its im a an the your yours ur u_r ours our full complete new whole latest current today tonight now right_now here online pdf picture pictures pic photo
		some all also too and or with plus um well so just only again asap quickly quick urgently bro brother friend boss
		do does did_you_have would could can will_you could_you would_you able to_us if possible_to card el al elli law samaht lw sam7t`,
	about: `عن حول بخصوص بالنسبه of for to about regarding ل من_اجل`,
	at:    `في فى ف ب علي ع من لدي عند in at from on inside on_the around near next beside by into through`,

	menuNoun: `
		open_menu open_the_menu 		منيو مينيو منيوه مينو منيوهات منيوات ميني المنيوي مينيوه menu menus menue meniu mneu meny minu manu menyu mnu almenu elmenu lmenu al_menu el_menu
		qaima qa2ema qaema 2ayma ga2ima cardapio speisekarte كتالوج catalogue catalog`,
	listNoun:  `قايمه قائمه قاءمه قوايم لسته ليسته ليست list lista`,
	priceNoun: `سعر اسعار الاسعار تسعيره تسعيرة price prices pricing pricelist price_list rates قيمت`,
	foodNoun: `
		اكل الاكل اكلات ماكولات المأكولات طعام الطعام وجبه وجبات اصناف صنف اطباق طبق مشروبات مشروب حلويات حلي حلا مقبلات سلطات سلطه عصير عصيرات قهوه شاي فطور الفطور افطار
		غدا غداء عشا عشاء سحور برجر برغر بيتزا شاورما كبسه مندي مظبي مضغوط مدفون دجاج لحم بروست رز ارز فلافل حمص كباب سمبوسه كرسبي زنجر سوشي كريب وافل دونات كفته ستيك ذبايح ذبيحه حاشي بخاري برياني مشاوي مشويات سمك ساندويش ساندويتش ساندوتش سندويش
		بطاطس باستا معكرونه كنافه كيك ايسكريم بوكس بوكسات معصوب فول شكشوكه كشري ملوخيه
		food foods eat meal meals dish dishes drink drinks beverage beverages item items product products dessert desserts breakfast lunch dinner burger burgers pizza pizzas shawarma
		chicken meat rice sandwich sandwiches salad salads coffee tea juice juices kabsa mandi fries pasta fish kebab grills cake appetizers steak sushi noodles wrap wraps biryani falafel hummus options vegan vegetarian akl`,
	orderVerb: `اطلب نطلب اطلبها نطلبها اطلبه اطلبلي اتطلب atlob otlob atlub atlab`,
	orderNoun: `طلب طلبيه اوردر اوردرات order orders طلبيات`,
	branchNoun: `
		فرع فروع افرع فرعين برانش برانشات برانچ branch branches branchs braches brnch outlet outlets far3 fro3 furu3 foro3 fru3 far3kom foroo3 fro3kom
		store_locations branch_locations شعبه شعبات`,
	placeNoun: `
		موقع مواقع لوكيشن لوكشن لوكيشنات لوكايشن عنوان عناوين مكان location locations locaton loction lokation lokeshn lokeshen adress address addresses addres directions
		mawqe3 maw2e3 3enwan google_map google_maps map خريطه الخريطه قوقل_ماب`,

	wish: `
		ابي ابا ابغي ابغا ابغه نبي نبا نبغي نبغا بغيت بغينا ابيك ابغاك اريد نريد اود نود ارغب نرغب احتاج نحتاج محتاج محتاجه محتاجين عايز عايزه عايزين عاوز عاوزه عاوزين بدي بدنا بدك
		حاب حابه حابين احب نحب حبيت ودي ودنا ناوي عطني اعطني عطنا اعطنا عطيني اعطيني عطونا اعطونا عطوني اعطوني تعطيني تعطونا تعطوني
		ارسل ارسلي ارسلو ارسلوا ارسلولي ارسلنا ترسل ترسلي ترسلو ترسلوا ترسلون ترسلولي ترسلونلي ترسلين رسل رسلو رسلي ارسال طرش طرشلي طرشوا دز دزلي دزوا دزولي
		ابعت ابعتلي ابعتولي ابعتوا ابعتو ابعث ابعثلي ابعثوا ابعثولي تبعت تبعتلي تبعتولي تبعتوا تبعث تبعثون تبعثلي بعتلي بعتولي ابعتيلي تبعتيلي هات هاتلي هاتوا هاتولي جيب جيبلي
		وريني ورني وروني ورينا ورونا ورجيني ورجينا فرجيني فرجينا اشوف نشوف شوف شوفلي اطلع نطلع اعرض اعرضلي اعرضوا عرض نزل نزلي نزلوا حط حطوا دلوني دلني دلوني_علي دلني_علي دليني_علي علموني علمني وضحوا وضح
		ممكن يمكن ممكنه امكن تقدر تقدرون نقدر اقدر ينفع اعرف نعرف استفسر استفسار استفسر_عن معرفه الاطلاع اطلاع بالاطلاع_علي الاطلاع_علي اطلع_علي اعمل نعمل اسوي نسوي بدء ابدا اخذ اطلبكم معلومات تفاصيل
		want wanna need like love_to would_like id_like send show share give get see view browse check have_a may gimme let lemme provide forward looking look wish place make start
		tell know find display interested request requesting help_me details info information drop
		abi aby abgha abgi 3ayez 3ayz 3awez 3ayza 3awza 3aiz bde bedi biddi mumkin momken momkin abghi 3tni e3teni a3teni ersel arsel eb3at ib3at hat warini wareni`,
	where:    `which_area what_area which_city what_city which_district اي_حي اي_منطقه اي_مدينه باي_حي باي_منطقه باي_مدينه في_اي_حي وين فين اين وينه وينها فينه وينهم وينو وينن فينو فينها فينهم where wheres wer wen wain wayn fen fein feen ween`,
	whereYou: `وينكم وينك فينكم فينكو فينك وينكن وينكو اينكم wenkom wainkom fenko fenkom weenkom`,
	have: `
		تقدمون تقدموا بتقدموا تبيعون تبيعوا بتبيعوا 		عندكم عندكو عندكن عندك لديكم لديك يوجد توجد فيه في_عندكم في_عندكن في_عندكو متوفر متوفره موجود موجوده الموجود
		do_you_have have you_have do_u_have u_have got_any is_there are_there there available serve sell offer offering dont_you_have any 3ndkm 3andkom 3ndko 3andak`,
	what:    `ما_هي ما_هو ماهي ماهو ايش وش شو شنو ايه اش ماذا وشو وشي ويش شنهو what whats wat what_is what_are eh shu sho esh wsh`,
	which:   `how_many اي ايها كم which`,
	how:     `كيف ازاي شلون كيفيه طريقه how ezay kef keif`,
	howMuch: `بكم بكام بقديش قديش how_much كم_سعر كم_اسعار`,
	nearest: `اقرب الاقرب closest nearest near_me nearby nearby_me close_to near_to close`,
	be:      `is are r be am was_there تكون`,

	you:    `you u ya_u المطعم مطعم مطعمكم مطعمك المحل محل محلكم محلك restaurant resturant shop store place you_guys انتم انتو انتوا انتي انت located موجودين تقعون تقع reach find_you situated`,
	mine:   `my mine حقي حقتي تبعي بتاعي بتاعتي`,
	not:    `لا ما مو مش مب موب ليس ليست بدون دون غير لن لم ماني مابي مابغي ماابي dont not no never cant cannot wont didnt doesnt isnt without nor neither لاترسل لاترسلون لاترسلوا تم ill will i_will gonna`,
	vocat:  `يا`,
	clause: `لكن لكن_بس بس but however because لان لانه لانها`,
	matter: `
		من_زمان you_from بعيد بعيده بطيء بطي بطيئه بشع بايخ اسوا حشره صرصور ذباب معفن عفن مريض مستاء زعلان شين فاشل كذب نصب تعويض استلمت استلمنا استلمتوا حجزت حجزنا دخلت دخلنا انتظر
		ننتظر واقف فلوس مبلغ فاتوره الفاتوره اتصلت كلمت كلموني يكلمني شفت شفنا قلت قلتوا قالوا قال سالت اشتريت اشترينا خربان خرب زاد زادت رفعتوا صحيحه صحيح واضح واضحه جاني جاتني
		slow disgusting bug insect cockroach sick disappointed unhappy charged overcharged bill invoice receipt paid waited tried asked saw seen bought found tasted delivered changed
		impolite lower differ differs different
		شكوي اشتكي شكاوي اشكي مشكله مشكلتي سيء سيئ سيئه سيئين زفت خايس خايسه وسخ وسخه بارد بارده محروق تاخر تاخرت متاخر متاخره تاخير تاخرتوا ناقص ناقصه نقص غلط خطا نسيت نسيتوا ضاع
		وصل وصلت وصلني وصلتني وصلنا يوصل توصل يوصلني طلبت طلبنا طلبته طلبتها اكلت اكلنا جيت جينا رحت رحنا كنت كان كانت زرت شريت دفعت امس البارح البارحه
		غالي غاليه غالين مرتفع مرتفعه نار رخيص حلو حلوه جميل جميله ممتاز ممتازه رائع رائعه روعه لذيذ لذيذه يجنن خطير قديم الغاء الغي الغيت كنسل الكنسل ارجع استرجاع استرداد تغيير غير_العنوان اغير
		تعديل اعدل الانتظار السوداء مدير مديره موظف موظفه موظفين تعامل تعامله تعاملكم سائق سايق مندوب يرد يردون ترد تردون محد تسمم شعره
		ليش ليه لماذا متي امتي ارسلت ارسلتلك بعتت بعثت يفتح تفتح يقفل تقفل مقفل مقفول مغلق زحمه دوام الدوام اوقات مواعيد يشتغل تشتغل يعمل شغال مسكر خدمه وظيفه وظايف توظيف
		ordered was were had got received came went visited left forgot ate yesterday ago last already cold late missing wrong bad worst rude dirty terrible awful poisoning
		complaint complain refund cancel cancelled canceled return broken problem issue error expensive high great nice good_food amazing love loved delicious best manager staff employee driver courier rider
		call called calling reply answer why when because status track tracking cancelled change changed job jobs hiring vacancy closed close_at working works work never waiting expired
		thanks_for thank_you_for thx_for sent told said waiter service parking  unsubscribe stop in_order hair stale burnt overcooked stolen lost
		شكرا_علي شكرا_ع العروض عروض عرض_اليوم خصم خصومات offers discount تاكد wait nobody answers answered`,
	aside: `رقم ارقام تلفون هاتف جوال جوالي number phone قبل بعدين لاحقا بكره بكرا later later_on tomorrow time times hours`,
}

// entry is a word in the lexicon.
type entry struct {
	class class
	more  [][]string // the further words of phrases that begin with the word
	kinds []class    // class of each phrase
}

// entries returns the lexicon by first word. It is made when the first text is examined.
var entries = sync.OnceValue(func() map[string]entry {
	all := make(map[string]entry)
	for kind, words := range lexicon {
		for word := range strings.FieldsSeq(spelling.Fold(words)) {
			parts := strings.Split(word, "_")
			e := all[parts[0]]
			if len(parts) == 1 {
				e.class = max(e.class, kind) // of a word in two classes, the class that says more
			} else {
				e.more, e.kinds = append(e.more, parts[1:]), append(e.kinds, kind)
			}
			all[parts[0]] = e
		}
	}
	return all
})

// word is a word of a message, with its prefixes and suffixes.
type word struct {
	class    class
	definite bool // ال, or a possessive
	prefixed bool // ب or ل in front, for a place
	perhaps  bool // ب in front of an unknown word, which may be a place's name
	mine     bool // belongs to the customer: طلبي
	arabic   bool
}

// The prefixes and suffixes of Arabic: conjunctions and prepositions in front, with or without the article, and possessives
// at the end.
var (
	prefixes = []struct {
		text               string
		prefixed, definite bool
	}{
		{"", false, false}, {"ال", false, true}, {"و", false, false}, {"وال", false, true}, {"ف", false, false}, {"فال", false, true}, {"هال", false, true},
		{"بال", true, true}, {"لل", true, true}, {"كال", true, true}, {"عال", true, true}, {"وبال", true, true}, {"ولل", true, true}, {"فلل", true, true},
		{"ب", true, false}, {"ل", true, false}, {"ك", true, false}, {"وب", true, false}, {"ول", true, false}, {"ع", true, false}, {"فب", true, false}, {"فل", true, false},
	}
	suffixes = []struct {
		text, instead string
		mine          bool
	}{
		{"", "", false}, {"كم", "", false}, {"تكم", "ه", false}, {"كو", "", false}, {"تكو", "ه", false}, {"كن", "", false}, {"ك", "", false}, {"تك", "ه", false},
		{"هم", "", false}, {"ها", "", false}, {"ه", "", false}, {"نا", "", true}, {"ي", "", true}, {"تي", "ه", true}, {"ات", "", false}, {"لي", "", false}, {"لنا", "", false},
	}
)

// attachable reports whether words of a class take prefixes and suffixes.
func (c class) attachable() bool {
	switch c {
	case menuNoun, listNoun, priceNoun, foodNoun, orderNoun, branchNoun, placeNoun:
		return true
	}
	return false
}

// analyse returns a word's class and its parts.
func analyse(text string) word {
	for _, form := range []string{text, unstretched(text, 2), unstretched(text, 1)} {
		if e := entries()[form]; e.class != unknown {
			return word{class: e.class, definite: strings.HasPrefix(form, "ال") && e.class.attachable(), arabic: isArabic(form)}
		}
	}
	if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsDigit(r) }) < 0 {
		return word{class: quantity}
	}
	if !isArabic(text) {
		return word{}
	}
	for _, form := range []string{text, unstretched(text, 1)} {
		if w, ok := detach(form); ok {
			return w
		}
	}
	if isWish(text) {
		return word{class: wish, arabic: true}
	}
	return word{definite: strings.HasPrefix(text, "ال") || strings.HasPrefix(text, "وال"), prefixed: strings.HasPrefix(text, "بال") || strings.HasPrefix(text, "لل"),
		perhaps: strings.HasPrefix(text, "ب"), arabic: true}
}

// minStem is the length of the shortest stem in bytes: three Arabic letters.
const minStem = 6

func detach(text string) (word, bool) {
	for _, prefix := range prefixes {
		stem, ok := strings.CutPrefix(text, prefix.text)
		if !ok {
			continue
		}
		for _, suffix := range suffixes {
			base, ok := strings.CutSuffix(stem, suffix.text)
			if base += suffix.instead; !ok || len(base) < minStem {
				continue
			}
			e := entries()[base]
			if e.class.attachable() || suffix.text == "" && !prefix.prefixed && e.class > quantity || suffix.text != "" && prefix.text == "" && e.class == wish {
				return word{
					class: e.class, definite: prefix.definite || suffix.text != "" && suffix.text != "ات", prefixed: prefix.prefixed,
					mine: suffix.mine && e.class != wish, arabic: true,
				}, true
			}
		}
	}
	return word{}, false
}

// isWish reports whether a text is another form of a verb that asks: "يبعتلي" of "ابعت".
func isWish(text string) bool {
	for _, person := range []string{"ي", "ت", "ن", "ا", ""} {
		stem, ok := strings.CutPrefix(text, person)
		if !ok {
			continue
		}
		for _, object := range []string{"ولنا", "ولي", "لنا", "لي", "ني", "نا", "وا", "ون", "ين", "و", "ي", ""} {
			base, ok := strings.CutSuffix(stem, object)
			if ok && len(base) >= minStem-2 && (entries()["ا"+base].class == wish || len(base) >= minStem && entries()[base].class == wish) {
				return true
			}
		}
	}
	return false
}

func isArabic(text string) bool {
	for _, r := range text {
		if unicode.Is(unicode.Arabic, r) {
			return true
		}
	}
	return false
}

// readWords returns the words of a clause. A phrase becomes a single word. A name after يا belongs to the address.
func readWords(texts []string) []word {
	words := make([]word, 0, len(texts))
	for i := 0; i < len(texts); {
		if kind, n := phrase(texts[i:]); n > 0 {
			words = append(words, word{class: kind, arabic: isArabic(texts[i])})
			i += n
			continue
		}
		if texts[i] == ":" {
			words = append(words, word{class: matter})
			i++
			continue
		}
		w := analyse(texts[i])
		i++
		if w.class == vocat {
			w.class = filler
			i++ // the name
		}
		words = append(words, w)
	}
	return words
}

// phrase returns the class and the length of the longest phrase that texts begin with.
func phrase(texts []string) (kind class, length int) {
	e := entries()[texts[0]]
	for i, rest := range e.more {
		if n := len(rest) + 1; n > length && n <= len(texts) && slices.Equal(rest, texts[1:n]) {
			kind, length = e.kinds[i], n
		}
	}
	return kind, length
}
