//! Names that nobody has, with the letters that names have.

/// First names.
pub(crate) const FIRST_NAMES: &[&str] = &[
    "Testina",
    "Mockbert",
    "Samplia",
    "Dummylo",
    "Fakira",
    "Pretendy",
    "Placida",
    "Specimena",
    "Zoë-Test",
    "Renée-Muster",
    "Siânfake",
    "Llyrtest",
    "Łukaszek-Próba",
    "Anne-Exemplar",
    "D'Artest",
    "Xiǎo-Shìyàn",
    "Проба",
    "Nguyễn-Thử",
    "José-Prueba",
    "Ōkubo-Tamesu",
];

/// Surnames.
pub(crate) const SURNAMES: &[&str] = &[
    "O'Brien-Fakename",
    "Fakechild",
    "Testerton",
    "Mockingham",
    "Sampleworth",
    "Dummyfield",
    "McPretend",
    "Placeholder-Smythe",
    "Müstermann",
    "Ejemplóñez",
    "Llanfairffug",
    "ap Prawf",
    "D’Ésaï-Essai",
    "Ødegård-Prøve",
    "Żmyślona",
    "Испытателев",
    "試験山",
    "N'Koyo-Essai",
    "van der Toets",
    "Örnekoğlu",
];
