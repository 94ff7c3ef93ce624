// What an application with Auth.js does with session tokens: one JSON question on standard input, its answer on standard output.
import { readFileSync } from "node:fs"
import { decode, encode, getToken } from "@auth/core/jwt"

const asked = JSON.parse(readFileSync(0, "utf8"))
const acts = {
  encode: () => encode({ secret: asked.secret, salt: asked.salt, token: asked.claims, maxAge: asked.maxAge }),
  decode: () => decode({ secret: asked.secret, salt: asked.salt, token: asked.token }),
  getToken: () => getToken({ secret: asked.secret, secureCookie: asked.secure, req: { headers: { cookie: asked.cookie } } }),
}
try {
  console.log(JSON.stringify({ value: await acts[asked.act]() }))
} catch (error) {
  console.log(JSON.stringify({ error: String(error.message) }))
}
