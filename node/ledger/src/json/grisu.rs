//! Grisu2: the digits that RapidJSON 1.1.0 prints for a double. They read back to the same double, but are often
//! neither the shortest nor the closest, so no other formatter can stand in.
//!
//! After Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers" (PLDI 2010).
//! All arithmetic is of unsigned 64-bit integers that wrap.

/// A positive number as decimal digits: DIGITS * 10^exponent.
pub(super) struct Decimal {
    buffer: [u8; MAX_DIGITS],
    len: usize,
    pub(super) exponent: i32,
}

/// No double takes more than 17; a few to spare.
const MAX_DIGITS: usize = 20;

impl Decimal {
    /// ASCII digits, the first not zero.
    pub(super) fn digits(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Leading zeros are left out.
    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.len > 0) && self.len < MAX_DIGITS {
            self.buffer[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }

    /// Moves the last digit towards the value, as far as the interval allows. `rest` is what the digits fall short of
    /// the upper bound, `dist` the value's distance from it, `delta` the interval's width, `unit` one of the last digit.
    fn round(&mut self, mut rest: u64, dist: u64, delta: u64, unit: u64) {
        while rest < dist
            && delta - rest >= unit
            && (rest.wrapping_add(unit) < dist || dist - rest > rest.wrapping_add(unit).wrapping_sub(dist))
        {
            if let Some(last) = self.buffer[..self.len].last_mut() {
                *last -= 1;
            }
            rest = rest.wrapping_add(unit);
        }
    }
}

/// significand * 2^exponent
#[derive(Clone, Copy)]
struct Float {
    significand: u64,
    exponent: i32,
}

impl Float {
    fn normalized(self) -> Self {
        let shift = self.significand.leading_zeros();
        Self { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The upper 64 bits of the product, rounded by the topmost of the lower.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let round = (product >> 63) as u64 & 1;
        Self { significand: (product >> 64) as u64 + round, exponent: self.exponent + other.exponent + 64 }
    }
}

/// The digits of a positive, finite double.
pub(super) fn digits(value: f64) -> Decimal {
    const HIDDEN_BIT: u64 = 1 << 52;
    let bits = value.to_bits();
    let (field, fraction) = ((bits >> 52) as i32 & 0x7FF, bits & (HIDDEN_BIT - 1));
    let exact = match field {
        0 => Float { significand: fraction, exponent: -1074 },
        _ => Float { significand: fraction + HIDDEN_BIT, exponent: field - 1075 },
    };
    // Halfway to the neighbours. Below a power of two the gap is half as wide.
    let upper = Float { significand: (exact.significand << 1) + 1, exponent: exact.exponent - 1 }.normalized();
    let lower = match exact.significand {
        HIDDEN_BIT => Float { significand: (HIDDEN_BIT << 2) - 1, exponent: exact.exponent - 2 },
        significand => Float { significand: (significand << 1) - 1, exponent: exact.exponent - 1 },
    };
    let lower = Float { significand: lower.significand << (lower.exponent - upper.exponent), exponent: upper.exponent };

    let (power, power_exponent) = cached_power(upper.exponent);
    let scaled = exact.normalized().times(power);
    let upper = upper.times(power);
    let lower = lower.times(power);
    // One unit inwards makes up for the errors of the products.
    let top = upper.significand - 1;
    let delta = top - (lower.significand + 1);
    generate(top, -upper.exponent as u32, delta, top - scaled.significand, -power_exponent)
}

/// Digits of `top` / 2^`shift`, until they are within `delta` of it; `exponent` is that of the last digit if all of the
/// integral part were printed.
fn generate(top: u64, shift: u32, mut delta: u64, dist: u64, exponent: i32) -> Decimal {
    let mut decimal = Decimal { buffer: [0; MAX_DIGITS], len: 0, exponent };
    let one = 1u64 << shift;
    let mut integral = top >> shift;
    let mut fraction = top & (one - 1);

    for kappa in (0..=integral.checked_ilog10().unwrap_or(0)).rev() {
        let power = 10u64.pow(kappa);
        decimal.push(integral / power);
        integral %= power;
        let rest = (integral << shift) + fraction;
        if rest <= delta {
            decimal.exponent += kappa as i32;
            decimal.round(rest, dist, delta, power << shift);
            return decimal;
        }
    }
    let mut scale: u64 = 1;
    loop {
        fraction = fraction.wrapping_mul(10);
        delta = delta.wrapping_mul(10);
        decimal.push(fraction >> shift);
        fraction &= one - 1;
        decimal.exponent -= 1;
        // RapidJSON's table of powers ends at 10^8: from the ninth place on it multiplies by nothing.
        scale = if scale < 100_000_000 { scale * 10 } else { 0 };
        if fraction < delta {
            decimal.round(fraction, dist.wrapping_mul(scale), delta, one);
            return decimal;
        }
    }
}

/// A power of ten that brings a number with this binary exponent to one between -60 and -32, and its decimal exponent.
fn cached_power(exponent: i32) -> (Float, i32) {
    const LOG10_OF_2: f64 = 0.301_029_995_663_981_14;
    let estimate = f64::from(-61 - exponent) * LOG10_OF_2 + 347.0;
    let index = (estimate.ceil() as i32 >> 3) + 1;
    let decimal_exponent = 8 * index - 348;
    // floor(log2(10^n)), by a multiplier that is exact for every n of the table.
    let binary_exponent = ((decimal_exponent * 217_706) >> 16) - 63;
    (Float { significand: POWERS[index as usize], exponent: binary_exponent }, decimal_exponent)
}

/// 10^-348, 10^-340 ... 10^340: the upper 64 bits, rounded half up.
#[rustfmt::skip] // one number a line would be 87 lines
const POWERS: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea, 0x9a6b_b0aa_5565_3b2d,
    0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f, 0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c,
    0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5, 0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57,
    0xc210_9436_4dfb_5637, 0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996, 0xdbac_6c24_7d62_a584,
    0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8, 0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053,
    0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd, 0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf,
    0x8a08_f0f8_bf0f_156b, 0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c, 0x9c40_0000_0000_0000,
    0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984, 0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70,
    0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245, 0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db,
    0xc45d_1df9_4271_1d9a, 0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3, 0xde46_9fbd_99a0_5fe3,
    0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece, 0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5,
    0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a, 0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410,
    0x8bab_8eef_b640_9c1a, 0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841, 0x9e19_db92_b4e3_1ba9,
    0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A large number: its digits in base 2^32, the lowest first.
    fn times(digits: &mut Vec<u32>, factor: u128) {
        let mut carry = 0;
        for digit in digits.iter_mut() {
            carry += u128::from(*digit) * factor;
            *digit = carry as u32;
            carry >>= 32;
        }
        while carry > 0 {
            digits.push(carry as u32);
            carry >>= 32;
        }
    }

    fn power(base: u128, exponent: i32) -> Vec<u32> {
        let mut digits = vec![1];
        (0..exponent).for_each(|_| times(&mut digits, base));
        digits
    }

    #[test]
    fn powers_of_ten_are_exact_and_rounded_half_up() {
        for (i, significand) in POWERS.iter().enumerate() {
            let exponent = 8 * i as i32 - 348;
            let binary_exponent = ((exponent * 217_706) >> 16) - 63;
            // 10^exponent / 2^binary_exponent, as a fraction without negative exponents.
            let mut numerator = power(10, exponent);
            (0..-binary_exponent).for_each(|_| times(&mut numerator, 2));
            let mut denominator = power(10, -exponent);
            (0..binary_exponent).for_each(|_| times(&mut denominator, 2));
            // It is from half below to half above the significand.
            times(&mut numerator, 2);
            let (mut from, mut to) = (denominator.clone(), denominator);
            times(&mut from, 2 * u128::from(*significand) - 1);
            times(&mut to, 2 * u128::from(*significand) + 1);
            let key = |digits: &Vec<u32>| (digits.len(), digits.iter().rev().copied().collect::<Vec<_>>());
            assert!(key(&from) <= key(&numerator) && key(&numerator) < key(&to), "10^{exponent}");
        }
    }
}
