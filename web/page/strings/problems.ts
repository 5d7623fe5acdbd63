/** What went wrong, in plain words with what to do, by `kindOf` of an error. */
export const enProblems = {
  insecure: {
    title: "This address is not secure",
    text: "Browsers offer WebGPU on secure pages only: open this page over https, or from localhost.",
  },
  "no-webgpu": {
    title: "This browser offers no WebGPU",
    text: "The model runs on it. Use a current Chrome, Edge, Safari or Firefox, switch hardware acceleration on in its settings, and try again.",
  },
  "no-adapter": {
    title: "The browser finds no GPU",
    text: "Switch hardware acceleration on in the browser’s settings, update the graphics driver, or use another browser; then try again.",
  },
  "device-lost": {
    title: "The GPU was taken away",
    text: "The driver restarted, or another program needed the memory. What was said is kept: try again, and the model is loaded anew.",
  },
  offline: {
    title: "There is no network",
    text: "What was fetched is kept. When the connection is back, try again and it goes on where it stopped; models that are whole work without one.",
  },
  network: {
    title: "The server does not answer",
    text: "What was fetched is kept: try again in a while, and it goes on where it stopped. If it never works, check the address, and whether that server allows this page (CORS).",
  },
  "disk-full": {
    title: "The browser has no room left",
    text: "Delete models that you can do without, or free space on the disk, and try again: what was fetched is kept and goes on from there, and what was said is written down then.",
  },
  storage: {
    title: "The browser could not store it",
    text: "If another tab uses the same model, close it, or let it end. If not, the words below say what the browser refused. What was fetched is kept: try again, and it goes on from there.",
  },
  device: {
    title: "This GPU cannot run the model",
    text: "If it does not fit, choose a smaller one, one packed in 4 bits, or a shorter context. If the GPU computes it wrong, update the browser and the graphics driver, or use another browser. The words below say which it is.",
  },
  "broken-file": {
    title: "A file of the model is wrong",
    text: "It is incomplete, or something this page cannot read. Try again to fetch it anew, or choose another model.",
  },
  "no-chat": {
    title: "This model does not chat",
    text: "It was made to go on with a text, and nobody has told it how a conversation looks. Choose a model that was made for chatting; what you wrote is kept.",
  },
  "wrong-numbers": {
    title: "This GPU computes something else",
    text: "A check found wrong results, and a wrong answer is worse than none. Update the browser and the graphics driver, or use another browser.",
  },
  "context-overflow": {
    title: "The conversation is too long",
    text: "It no longer fits the model’s context. Begin a new conversation, or let the oldest turns be left out, in Settings.",
  },
  option: {
    title: "A setting is not possible",
    text: "Put it right in Settings, or in the page’s address if it stands there, and try again.",
  },
  other: {
    title: "That did not work",
    text: "Try again; if it happens again, the words below say what went wrong.",
  },
};

export const zhProblems: typeof enProblems = {
  insecure: {
    title: "这个地址不安全",
    text: "浏览器只在安全页面上提供 WebGPU：请用 https 或 localhost 打开本页。",
  },
  "no-webgpu": {
    title: "此浏览器没有 WebGPU",
    text: "模型要靠它运行。请用最新的 Chrome、Edge、Safari 或 Firefox，在设置里打开硬件加速，然后重试。",
  },
  "no-adapter": {
    title: "浏览器找不到 GPU",
    text: "请在浏览器设置里打开硬件加速，更新显卡驱动，或换一个浏览器，然后重试。",
  },
  "device-lost": {
    title: "GPU 被收回了",
    text: "可能是驱动重启，或别的程序需要内存。说过的话都在：点重试，模型会重新加载。",
  },
  offline: {
    title: "没有网络",
    text: "已下载的部分都在。网络恢复后点重试，会从停下的地方继续；完整的模型不需要网络。",
  },
  network: {
    title: "服务器没有回应",
    text: "已下载的部分都在：过一会儿点重试，会从停下的地方继续。若一直不行，请检查网址，以及对方是否允许本页访问（CORS）。",
  },
  "disk-full": {
    title: "浏览器没有空间了",
    text: "请删除不需要的模型，或清理磁盘，然后重试：已下载的部分会保留并从那里继续，说过的话到时会写下。",
  },
  storage: {
    title: "浏览器没能存下它",
    text: "若另一个标签页正在用这个模型，请关闭它，或等它结束；若不是，下面的文字说明了浏览器拒绝了什么。已下载的部分都在：点重试会从那里继续。",
  },
  device: {
    title: "这块 GPU 运行不了这个模型",
    text: "如果是放不下，请选小一些的、4 位压缩的模型，或短一些的上下文；如果是算得不对，请更新浏览器和显卡驱动，或换一个浏览器。下面的文字说明是哪一种。",
  },
  "broken-file": {
    title: "模型的一个文件不对",
    text: "它不完整，或是本页读不了的格式。点重试重新下载，或换一个模型。",
  },
  "no-chat": {
    title: "这个模型不会对话",
    text: "它是用来续写文字的，没有人教过它对话的格式。请换一个为对话训练的模型，您写的内容会保留。",
  },
  "wrong-numbers": {
    title: "这块 GPU 算出的不一样",
    text: "检查发现结果有误，而错误的回答还不如没有。请更新浏览器和显卡驱动，或换一个浏览器。",
  },
  "context-overflow": {
    title: "对话太长了",
    text: "它已放不进模型的上下文。请新建对话，或在设置里允许省略最早的几轮。",
  },
  option: { title: "有一项设置不可行", text: "请在设置里改正；若写在页面地址里，请改地址，然后重试。" },
  other: { title: "没有成功", text: "请重试；若再次发生，下面的文字说明了原因。" },
};
