// Written by `tally init`, and overwritten by it. Taken away by `tally init --remove`.
//
// Shows every shell command to `tally hook` before it is executed, and does what that answers. All
// knowledge of commands is there; this file carries words. What cannot be asked is not executed.
// One file for both generations of OpenCode: the older reads `server`, the newer `setup`.
import { spawn } from "node:child_process"

const HOOK = @HOOK@
const TIMEOUT_MS = 10000
const SHELLS = ["bash", "shell"]

// The answer of the hook: an object, or nothing where it has nothing to say. Throws when it fails.
function ask(payload) {
  return new Promise((resolve, reject) => {
    const closed = (why) => reject(new Error(`tallystick: ${why}; the command was not executed`))
    const child = spawn(HOOK[0], HOOK.slice(1), { stdio: ["pipe", "pipe", "pipe"] })
    const timer = setTimeout(() => {
      child.kill("SIGKILL")
      closed("the guard did not answer in time (tally doctor)")
    }, TIMEOUT_MS)
    let out = ""
    let said = ""
    child.stdout.on("data", (data) => (out += data))
    child.stderr.on("data", (data) => (said += data))
    child.stdin.on("error", () => {})
    child.on("error", (error) => {
      clearTimeout(timer)
      closed(`the guard cannot be started: ${error.message} (tally init)`)
    })
    child.on("close", (status) => {
      clearTimeout(timer)
      if (status === 2) return reject(new Error(said.trim() || "tallystick: refused"))
      if (status !== 0) return closed(`the guard failed with status ${status}: ${said.trim()}`)
      try {
        resolve(out.trim() ? JSON.parse(out) : {})
      } catch {
        closed("the guard's answer cannot be read")
      }
    })
    child.stdin.end(JSON.stringify(payload))
  })
}

// Ask about one call of a tool, and change its arguments in place: a new object would not be seen.
async function guard(tool, session, call, args, cwd) {
  if (!args || !(SHELLS.includes(tool) || tool.startsWith("tally_"))) return
  const payload = {
    dialect: "opencode",
    hook_event_name: "tool.execute.before",
    session_id: session,
    tool_use_id: call,
    cwd,
    tool_name: tool,
    tool_input: args,
  }
  const answer = await ask(payload)
  if (answer.decision === "deny") throw new Error(answer.reason)
  if (answer.args) Object.assign(args, answer.args)
}

// The first generation (1.18.29 and later).
async function server(input) {
  const cwd = input?.directory ?? process.cwd()
  return {
    "tool.execute.before": async (call, output) => {
      await guard(call.tool, call.sessionID, call.callID, output.args, cwd)
    },
    "shell.env": async (call, output) => {
      if (call?.sessionID && output?.env) output.env.TALLY_CHAT_SESSION_ID = call.sessionID
    },
  }
}

// The second generation.
async function setup(ctx) {
  await ctx.tool.hook("execute.before", async (event) => {
    const cwd = ctx.directory ?? process.cwd()
    await guard(event.tool, event.sessionID, event.callID ?? event.id, event.input, cwd)
  })
}

export default { id: "tallystick", setup, server }
