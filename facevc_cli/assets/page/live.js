async (ticket) => {
  // Runs in the browser's sound thread: collects what the microphone hears, and plays what comes back.
  const worklet = `
    class Sound extends AudioWorkletProcessor {
      constructor() {
        super();
        this.block = new Int16Array(Math.round(sampleRate / 50));
        this.filled = 0;
        this.queue = [];
        this.waiting = 0;
        this.at = 0;
        this.begun = false;
        this.last = 0;
        this.port.onmessage = ({ data }) => {
          this.queue.push(data);
          this.waiting += data.length;
          while (this.waiting > sampleRate * 0.4) { // what is too late is left out
            this.waiting -= this.queue.shift().length - this.at;
            this.at = 0;
          }
        };
      }
      process(inputs, outputs) {
        const out = outputs[0][0];
        const heard = inputs[0][0];
        for (let i = 0; i < out.length; i++) {
          const sample = heard ? Math.max(-1, Math.min(1, heard[i])) : 0;
          this.block[this.filled++] = sample * 32767;
          if (this.filled === this.block.length) {
            this.port.postMessage(this.block.slice().buffer);
            this.filled = 0;
          }
        }
        this.begun = this.begun ? this.waiting > 0 : this.waiting > sampleRate * 0.06;
        for (let i = 0; i < out.length; i++) {
          if (this.begun && this.waiting > 0) {
            this.last = this.queue[0][this.at++] / 32768;
            this.waiting--;
            if (this.at === this.queue[0].length) {
              this.queue.shift();
              this.at = 0;
            }
          } else {
            this.last *= 0.98; // no click
          }
          out[i] = this.last;
        }
        return true;
      }
    }
    registerProcessor("facevc-sound", Sound);`;
  const tell = (text) => {
    const place = document.querySelector("#live-told .facevc-note");
    if (place) place.textContent = text;
  };
  window.facevcLive?.stop();
  const live = { stop: () => {}, blocks: 0, loudest: 0 };
  window.facevcLive = live;
  if (!ticket) return;
  let context, stream, socket;
  live.stop = (text = "Ended.") => {
    live.stop = () => {};
    socket?.close();
    stream?.getTracks().forEach((track) => track.stop());
    context?.close();
    tell(text);
  };
  try {
    const wanted = { echoCancellation: true, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
    stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    context = new AudioContext({ latencyHint: "interactive" });
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: "text/javascript" })));
    const node = new AudioWorkletNode(context, "facevc-sound", { outputChannelCount: [1] });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const place = location.pathname.replace(/[^/]*$/, "");
    socket = new WebSocket(`${scheme}://${location.host}${place}live/sound?ticket=${ticket}&rate=${context.sampleRate}`);
    socket.binaryType = "arraybuffer";
    node.port.onmessage = ({ data }) => {
      // a slow network: better a gap than a growing delay
      if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < 20000) socket.send(data);
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const figures = Object.entries(JSON.parse(data)).map(([name, value]) => `${name} ${value}`);
        tell(`Speak. ${figures.join(", ")}`);
        return;
      }
      const samples = new Int16Array(data);
      live.blocks++;
      live.loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), live.loudest);
      node.port.postMessage(samples);
    };
    socket.onopen = () => {
      context.createMediaStreamSource(stream).connect(node).connect(context.destination);
      context.resume();
      tell("Speak.");
    };
    socket.onclose = ({ reason }) => live.stop(reason ? `Ended: ${reason}` : "Ended.");
  } catch (error) {
    live.stop(`The browser gives no microphone (${error.message}). Allow it for this page, and start again.`);
  }
}
