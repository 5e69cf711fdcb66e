/** Roots of the hardware makers, by SHA-256. */

/** Intel SGX Root CA: of the certificate. */
export const INTEL_ROOT_SHA256 = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";

/** AMD's root keys (ARK) by product line: of the SubjectPublicKeyInfo. @type {Readonly<Record<string, string>>} */
export const AMD_ROOT_KEYS = Object.freeze({
  Milan: "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
  Genoa: "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
  Turin: "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
});
